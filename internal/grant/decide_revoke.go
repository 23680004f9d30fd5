package grant

// Decisions of a revocation.

// Others is what is known of other grants that a revocation would end, too.
type Others struct {
	// EndsGrant: at this provider a revocation ends the user's whole grant.
	EndsGrant bool
	// Stands: another grant of the same client and user stands that must not be ended.
	Stands bool
	// Exchanging: a code is being exchanged for the client id, which may turn out to be the same user's.
	Exchanging bool
}

// RevokeStep is what to do with a revocation that is due.
type RevokeStep string

// The steps of a revocation.
const (
	RevokeNow RevokeStep = "REVOKE"
	// RevokeSkip: it would end a grant that stands.
	RevokeSkip RevokeStep = "SKIP"
	// RevokeLater: it may end a grant that is being made.
	RevokeLater RevokeStep = "LATER"
)

// BeforeRevoke decides whether a revocation may be sent.
func BeforeRevoke(o Others) RevokeStep {
	switch {
	case !o.EndsGrant:
		return RevokeNow
	case o.Stands:
		return RevokeSkip
	case o.Exchanging:
		return RevokeLater
	default:
		return RevokeNow
	}
}

// StaleCopy reports whether a deletion's copy of the tokens was overtaken: the row has another generation than was copied,
// so that the copy's refresh token is spent.
func StaleCopy(row RowView, copied int64) bool { return row.Generation != copied }
