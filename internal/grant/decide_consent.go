package grant

import "github.com/google/uuid"

// Decisions of an authorization about what is stored already where its set is to go.

// StoredConsent is how a stored set relates to the answer of an authorization that is about to be stored.
type StoredConsent struct {
	// SameConsent: both come of one consent.
	SameConsent bool
	// SameToken: both hold the same refresh token.
	SameToken bool
	// Mine: this attempt wrote what is stored.
	Mine bool
	// Renewed: the attempt refreshed its parked answer itself before anything of it was stored.
	Renewed bool
	// Contested: what is stored may come of a later consent.
	Contested bool
}

// StoreStep is what an authorization does about a set that is stored where its own is to go.
type StoreStep string

// The steps before an authorization's commit.
const (
	// StoreOverwrite: the answer takes the place of what is stored.
	StoreOverwrite StoreStep = "OVERWRITE"
	// StoreStays: what is stored is mine, or was refreshed from mine.
	StoreStays StoreStep = "STAYS"
	// StoreCompare: both are tried under the lock, and the survivor stays.
	StoreCompare StoreStep = "COMPARE"
)

// BeforeStore decides whether an authorization's set takes the place of what is stored.
func BeforeStore(s StoredConsent) StoreStep {
	switch {
	case s.SameConsent && (s.SameToken || !s.Renewed):
		return StoreStays
	case s.SameConsent && s.Mine:
		return StoreOverwrite // its token was spent while the answer was parked: mine came of it
	case s.SameConsent, s.Contested:
		return StoreCompare
	default:
		return StoreOverwrite
	}
}

// Tried is what the provider said to a token.
type Tried string

// The outcomes of trying a token.
const (
	TriedWorks   Tried = "WORKS"
	TriedRefused Tried = "REFUSED"
	// TriedNot: the provider could not be asked.
	TriedNot Tried = "NOT_TRIED"
)

// Comparison is everything the choice between two sets depends on.
type Comparison struct {
	// Stored and Mine are what the provider said to the stored set and to this attempt's. Mine is not asked for where
	// Stored is TriedNot.
	Stored, Mine Tried
	// Later: this attempt's consent is the later one.
	Later bool
	// Expired: the stored set's access token is over by its time, so that a refusal does not speak of its grant.
	Expired bool
	// EndsOlder: at this provider a consent ends the older grants of the same client and user.
	EndsOlder bool
}

// CompareStep is how a comparison ends.
type CompareStep string

// The ends of a comparison.
const (
	CompareStays     CompareStep = "STAYS"
	CompareOverwrite CompareStep = "OVERWRITE"
	// CompareUndecided: the provider could not be asked; the answer stays parked.
	CompareUndecided CompareStep = "UNDECIDED"
)

// AfterComparison decides which of two sets is kept. What is stored is overwritten only where it is refused, or where both
// work and this attempt's consent is the later one.
func AfterComparison(c Comparison) CompareStep {
	stays := func(yes bool) CompareStep {
		if yes {
			return CompareStays
		}
		return CompareOverwrite
	}
	switch {
	case c.Stored == TriedNot, c.Mine == TriedNot && (c.Later || c.Stored == TriedRefused):
		return CompareUndecided
	case c.Mine == c.Stored:
		return stays(!c.Later)
	case c.Mine == TriedWorks:
		// A token that expired is refused, too, and its grant may live on where consents do not end one another.
		return stays(!c.Later && c.Expired && !c.EndsOlder)
	default:
		return stays(c.Stored == TriedWorks)
	}
}

// ShowsConsent reports whether the head where an attempt was about to write shows its consent: then its answer is stored,
// or was refreshed since, and nothing of what is parked may be spent.
func ShowsConsent(h HeadView, attempt uuid.UUID, sameConsent bool) bool {
	return h.State == HeadPresent && (h.Attempt == attempt || sameConsent)
}
