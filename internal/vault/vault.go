// Package vault is the seam to the secrets store.
//
// Mechanism: every tenant has a key in the store that never leaves it. A token set is sealed here, in this process, with
// AES-256-GCM under a data key of its own that the store generated and wrapped under the tenant's key; the sealed record
// rests in the store at a path of the tenant and the connection and is replaced by check-and-set only. Smaller secrets
// (client secrets, parked answers, revocation jobs) are sealed the same way and rest in the database.
// Associated data binds every ciphertext to its purpose, tenant and place; the tenant is always the caller's, never the
// one a row claims, so that a row that slipped through a filter does not open.
//
// Reason: transit's encrypt is not used for records because its rewrap ignores associated data. Sealing locally also
// means that nothing but one write stands between a provider's answer and durability.
//
// Limit: the store's operator can delete everything; this package can only notice (ErrErased, ErrNoKey, ErrCorrupt).
//
// Vault is implemented by embedded (one machine), hashicorp (a Vault cluster) and moving (both, while everything is moved
// from one to the other); vaulttest is the conformance suite that any implementation must pass.
package vault

import (
	"context"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/internal/secret"
)

// Vault is what Tokenkeep asks of a secrets store. Implementations are safe for concurrent use, return errors that wrap
// the sentinels of this package, and treat every context deadline as "in doubt", never as "did not happen": a caller
// whose context ended during a write reads the head to learn what became of it. Every method may return ErrUnavailable;
// the zero UUID is nobody's tenant and no connection, and writing under it is ErrInvalid.
type Vault interface {
	Keys
	Records
	// MAC returns HMAC-SHA256 of data under a pepper that never leaves the store.
	MAC(ctx context.Context, data []byte) ([]byte, error)
	// Health returns nil when the store can read and write. Errors: ErrUnavailable.
	Health(ctx context.Context) error
	// Close frees what the implementation holds.
	Close() error
}

// Keys are the tenants' keys and the data keys they wrap.
type Keys interface {
	// CreateKey makes the tenant's key; it does nothing where there is one. Errors: ErrNoKey where it was destroyed.
	CreateKey(ctx context.Context, tenant uuid.UUID) error
	// RotateKey adds a version, with which new data keys are wrapped, and returns it. Errors: ErrNoKey.
	RotateKey(ctx context.Context, tenant uuid.UUID) (version int, err error)
	// KeyInfo returns the latest version and the lowest one that still unwraps. Errors: ErrNoKey.
	KeyInfo(ctx context.Context, tenant uuid.UUID) (KeyInfo, error)
	// SetMinVersion makes versions below min unusable for good; it does nothing where they are already.
	// Errors: ErrNoKey, and any error where min is above the latest version.
	SetMinVersion(ctx context.Context, tenant uuid.UUID, min int) error
	// DestroyKey destroys the key and with it everything ever sealed under it. It does nothing where there is none.
	// A caller that uses the key at the same time sees it whole or gone.
	// Afterwards CreateKey for the same tenant fails with ErrNoKey.
	DestroyKey(ctx context.Context, tenant uuid.UUID) error
	// NewDataKey returns a fresh 256-bit data key, plain and wrapped. It never creates a tenant key. Errors: ErrNoKey.
	NewDataKey(ctx context.Context, tenant uuid.UUID) (DataKey, error)
	// UnwrapDataKeys unwraps many at once, in the order given; it fails as a whole. Errors: ErrNoKey, ErrCorrupt
	// (wrong tenant, altered, or below the minimum version; a *CorruptKeysError where the store tells which).
	UnwrapDataKeys(ctx context.Context, tenant uuid.UUID, wrapped []WrappedKey) ([]secret.Bytes, error)
	// RewrapDataKeys wraps the same data keys under the latest version. Errors as UnwrapDataKeys.
	RewrapDataKeys(ctx context.Context, tenant uuid.UUID, wrapped []WrappedKey) ([]WrappedKey, error)
}

// Records are the sealed token sets, one for each connection.
type Records interface {
	// ReadRecord returns the record and its check-and-set number. Errors: ErrNotFound (never written, CAS 0 writes it),
	// ErrErased, ErrCorrupt (a record that cannot even be decoded). The number comes with ErrErased and ErrCorrupt too:
	// a new consent on a connection that still exists is written over what was erased or spoilt.
	ReadRecord(ctx context.Context, ref Ref) (Record, CAS, error)
	// WriteRecord stores r if the store's number still is cas, durably before it returns, and returns the new number.
	// CAS 0 means "must not exist". Over an erased record only the number that ReadRecord returned with ErrErased writes:
	// a writer who read before the erasure comes too late. Errors: ErrMismatch, ErrErased (erased, and cas is not that
	// number), ErrFull (nothing was written).
	// Any other error leaves open whether the write landed.
	WriteRecord(ctx context.Context, ref Ref, r Record, cas CAS) (CAS, error)
	// PrepareWrite gets out of the way what a write over the record would otherwise have to do first; call it, where the
	// write must not fail, before the read whose number it will use. Only a vault that is being left has something to do.
	PrepareWrite(ctx context.Context, ref Ref) error
	// EraseRecord destroys the record for good: afterwards ReadRecord says ErrErased, and so does WriteRecord to all whose
	// number is older. It does nothing where it is erased already, and marks as erased what never was written.
	EraseRecord(ctx context.Context, ref Ref) error
	// ListRecords returns the connections that have a record, in the order of their ids, after the given one
	// (uuid.Nil to begin), at most limit; an empty page is the end. Erased ones may be among them.
	ListRecords(ctx context.Context, tenant, after uuid.UUID, limit int) ([]uuid.UUID, error)
}

// CAS is the store's own number of a record's version. It serves check-and-set and nothing else.
type CAS int64

// KeyInfo describes a tenant's key.
type KeyInfo struct {
	// Latest is the version that wraps new data keys, from 1.
	Latest int
	// Min is the lowest version that still unwraps.
	Min int
}

// Ref names a record. Tenant is the caller's tenant.
type Ref struct {
	Tenant     uuid.UUID
	Connection uuid.UUID
}

// WrappedKey is a data key under a version of the tenant's key.
type WrappedKey struct {
	Version int
	Bytes   []byte
}

// DataKey is a data key that is used for one sealing and then dropped.
type DataKey struct {
	Plain   secret.Bytes
	Wrapped WrappedKey
}

// Header is what a record says in the clear. All of it but the key version is bound to the ciphertext.
type Header struct {
	// Generation is ours: +1 for each token set stored, never reused.
	Generation int64
	// Attempt is the attempt that obtained the token set; it tells whether a doubtful write was mine.
	Attempt uuid.UUID
	// Origin says how the token set came: "exchange", "refresh", "import".
	Origin string
}

// Record is a sealed token set.
type Record struct {
	Header
	Key        WrappedKey
	Ciphertext []byte
}
