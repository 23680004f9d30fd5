package vault

import "context"

// absence is a vault that knows, without asking, that the store is away.
type absence interface {
	// Absent returns why the store is known to be away, nil where it is not. Errors: ErrAway.
	Absent() error
}

// Absent returns why v is known to be away, without asking it: nil where it is not known to be. Whoever is about to take
// a lock or to read rows for the sake of the vault asks first, so that a store that is away is tried once and not by
// everybody. Errors: ErrAway.
func Absent(v Vault) error {
	if a, ok := v.(absence); ok {
		return a.Absent()
	}
	return nil
}

// insistKey is the context's key of Insist.
type insistKey struct{}

// Insist returns a context under which the store is tried for real even while it is known to be away: for the write of
// what exists nowhere else.
func Insist(ctx context.Context) context.Context { return context.WithValue(ctx, insistKey{}, true) }

// Insists reports whether ctx comes of Insist.
func Insists(ctx context.Context) bool { return ctx.Value(insistKey{}) != nil }
