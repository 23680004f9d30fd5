package verify

// Kind says what is wrong. Its text is in the output of "tokenkeep verify" and never changes.
type Kind string

// The kinds.
const (
	// RowBehind: the record is newer than the row (an older database was restored).
	RowBehind Kind = "ROW_BEHIND"
	// RowMissing: a record without a row, and nobody deleted the connection (an older database was restored).
	RowMissing Kind = "ROW_MISSING"
	// RecordDeleted: a record of a connection that was deleted (an older vault was restored).
	RecordDeleted Kind = "RECORD_DELETED"
	// RecordDeletedLater: the same, with a token set that was stored after the deletion.
	RecordDeletedLater Kind = "RECORD_DELETED_NEWER"
	// RecordStray: a record without row or tombstone that does not open.
	RecordStray Kind = "RECORD_STRAY_UNREADABLE"
	// AppMissing: a record without a row whose app is missing, too.
	AppMissing Kind = "APP_MISSING"
	// UserTaken: a record without a row whose user has another connection of the same app.
	UserTaken Kind = "USER_TAKEN"
	// RecordMissing: a row without a record.
	RecordMissing Kind = "RECORD_MISSING"
	// RecordUnreadable: the record of a row does not open.
	RecordUnreadable Kind = "RECORD_UNREADABLE"
	// RolledBack: the record is older than the row (an older vault was restored).
	RolledBack Kind = "STORE_ROLLED_BACK"
	// TenantKeyMissing: the tenant's key is missing or destroyed.
	TenantKeyMissing Kind = "TENANT_KEY_MISSING"
	// EscrowWaiting: a token set waits for the vault.
	EscrowWaiting Kind = "ESCROW_WAITING"
	// EscrowStale: what waits is no newer than what the vault holds.
	EscrowStale Kind = "ESCROW_STALE"
	// EscrowUnreadable: what waits does not open.
	EscrowUnreadable Kind = "ESCROW_UNREADABLE"
	// AttemptUnreadable: the parked answer of an authorization does not open.
	AttemptUnreadable Kind = "ATTEMPT_UNREADABLE"
	// RevocationUnreadable: the sealed copy of a revocation job does not open.
	RevocationUnreadable Kind = "REVOCATION_UNREADABLE"
	// ErasurePending: a deleted connection's record was not destroyed yet.
	ErasurePending Kind = "ERASURE_PENDING"
	// MetadataIndex: the index of a connection's metadata is not what the row says.
	MetadataIndex Kind = "METADATA_INDEX"
	// InUse: something looked wrong, and the grant's lock was not free for long enough to look again.
	InUse Kind = "IN_USE"
)

// Finding is one disagreement.
type Finding struct {
	Kind Kind `json:"kind"`
	// Tenant and Object are ids: of the connection ("conn_..."), or of an attempt or a job (a UUID).
	Tenant string `json:"tenant"`
	Object string `json:"object"`
	// Stored and Row are the generations of the newest stored set that opens and of the row; 0 where there is none.
	Stored int64 `json:"stored,omitempty"`
	Row    int64 `json:"row,omitempty"`
	// Says is what is wrong, Remedy what is done about it: by --repair where Mendable, else by people.
	Says     string `json:"says"`
	Remedy   string `json:"remedy"`
	Mendable bool   `json:"mendable"`
	// Repaired is true where it was mended. Held is true where it was not, because so many connections would end that an
	// operator has to confirm it first.
	Repaired bool `json:"repaired"`
	Held     bool `json:"held,omitempty"`
}

// text is what a kind says of itself.
type text struct {
	says, remedy string
	mendable     bool
}

// texts explain the kinds.
var texts = map[Kind]text{
	RowBehind:            {"the vault has a newer token set than the row", "the row is brought up to it; nothing is spent", true},
	RowMissing:           {"the vault has a token set without a row", "the row is rebuilt; subject, metadata and capabilities are lost", true},
	RecordDeleted:        {"the vault has a token set of a deleted connection", "the record is destroyed", true},
	RecordDeletedLater:   {"the vault has a token set that was stored after its connection was deleted", "the grant is revoked and the record destroyed", true},
	RecordStray:          {"a record has no row and does not open", "none: it is left; its grant must be ended at the provider by the user", false},
	AppMissing:           {"the vault has a token set without a row, and its app is missing", "none: it is left; restore the app and run verify again", false},
	UserTaken:            {"the vault has a token set without a row, and its user has another connection of the same app", "none: it is left; delete the other connection and run verify again to go back to this one", false},
	RecordMissing:        {"the row's token set is missing from the vault", "the connection is DISCONNECTED with RECORD_MISSING; the user must connect again", true},
	RecordUnreadable:     {"the row's token set does not open", "the connection is DISCONNECTED with RECORD_UNREADABLE; the user must connect again", true},
	RolledBack:           {"the vault's token set is older than the row", "none: put the newer vault back if there is one; otherwise the service tries this token once and holds the connection until you say verify --confirm-rollback, and then it is DISCONNECTED with STORE_ROLLED_BACK", false},
	TenantKeyMissing:     {"the tenant has a row but no key: it was deleted, or another vault was restored", "none: nothing of it opens, and a destroyed key does not come back; delete the tenant", false},
	EscrowWaiting:        {"a token set waits in the database for the vault", "it is written into the vault", true},
	EscrowStale:          {"a token set waits in the database that is no newer than the vault's", "it is dropped", true},
	EscrowUnreadable:     {"a token set waits in the database and does not open", "it is dropped", true},
	AttemptUnreadable:    {"an authorization's parked answer does not open", "the attempt is ended; the user must consent again", true},
	RevocationUnreadable: {"a revocation's sealed copy does not open", "the job is ended; the grant must be ended at the provider by the user", true},
	ErasurePending:       {"a deleted connection's record was not destroyed yet", "the record is destroyed", true},
	InUse:                {"the connection is in use and could not be looked at", "none: run verify again", false},
	MetadataIndex:        {"the index of the metadata is not what the row says", "the index is written anew", true},
}

// heldRemedy takes the remedy's place where a hold keeps the connection.
const heldRemedy = "too many would end with it, so the connection is held: put the newer vault back if there is one; otherwise say verify --confirm-rollback, and then verify --repair again"

// described fills in what the kind says.
func (f Finding) described() Finding {
	t := texts[f.Kind]
	f.Says, f.Remedy, f.Mendable = t.says, t.remedy, t.mendable
	if f.Held {
		f.Remedy = heldRemedy
	}
	return f
}
