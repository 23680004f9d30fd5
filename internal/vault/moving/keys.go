package moving

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/internal/secret"
	"github.com/tokenkeep/tokenkeep/internal/vault"
)

// errNoRotation is the answer to whoever wants another version of a key.
var errNoRotation = fmt.Errorf("%w: keys are not rotated before it is finished; all that is moved is under a new key anyway", vault.ErrMoving)

// CreateKey implements vault.Keys: the key is made in both. What was destroyed in either is destroyed.
func (v *Vault) CreateKey(ctx context.Context, tenant uuid.UUID) error {
	if err := v.from.CreateKey(ctx, tenant); err != nil {
		return err
	}
	if err := v.to.CreateKey(ctx, tenant); err != nil {
		return err
	}
	// A destruction at the same time may have passed between the two.
	if _, err := v.from.KeyInfo(ctx, tenant); errors.Is(err, vault.ErrNoKey) {
		return errors.Join(err, v.to.DestroyKey(ctx, tenant))
	}
	return nil
}

// carryKey makes the target's key where the source has one.
func (v *Vault) carryKey(ctx context.Context, tenant uuid.UUID) error {
	if _, err := v.from.KeyInfo(ctx, tenant); err != nil {
		return err
	}
	return v.CreateKey(ctx, tenant)
}

// DestroyKey implements vault.Keys: in both, first where everything new is sealed. A key that the target does not have yet is
// made, so that its destruction is remembered there.
func (v *Vault) DestroyKey(ctx context.Context, tenant uuid.UUID) error {
	_, err := v.from.KeyInfo(ctx, tenant)
	switch {
	case err == nil:
		if err := v.to.CreateKey(ctx, tenant); err != nil && !errors.Is(err, vault.ErrNoKey) {
			return err
		}
	case !errors.Is(err, vault.ErrNoKey):
		return err
	}
	if err := v.to.DestroyKey(ctx, tenant); err != nil {
		return err
	}
	return v.from.DestroyKey(ctx, tenant)
}

// RotateKey implements vault.Keys: not now. Errors: vault.ErrMoving.
func (v *Vault) RotateKey(context.Context, uuid.UUID) (int, error) { return 0, errNoRotation }

// SetMinVersion implements vault.Keys: not now. Errors: vault.ErrMoving.
func (v *Vault) SetMinVersion(context.Context, uuid.UUID, int) error { return errNoRotation }

// KeyInfo implements vault.Keys: the versions are the target's.
func (v *Vault) KeyInfo(ctx context.Context, tenant uuid.UUID) (vault.KeyInfo, error) {
	info, err := v.to.KeyInfo(ctx, tenant)
	if errors.Is(err, vault.ErrNoKey) && v.carryKey(ctx, tenant) == nil {
		return v.to.KeyInfo(ctx, tenant)
	}
	return info, err
}

// NewDataKey implements vault.Keys: new data keys are the target's.
func (v *Vault) NewDataKey(ctx context.Context, tenant uuid.UUID) (vault.DataKey, error) {
	dk, err := v.to.NewDataKey(ctx, tenant)
	if errors.Is(err, vault.ErrNoKey) && v.carryKey(ctx, tenant) == nil {
		return v.to.NewDataKey(ctx, tenant)
	}
	return dk, err
}

// UnwrapDataKeys implements vault.Keys: each is unwrapped by the vault that wrapped it.
func (v *Vault) UnwrapDataKeys(ctx context.Context, tenant uuid.UUID, wrapped []vault.WrappedKey) ([]secret.Bytes, error) {
	return split(v.of, wrapped, func(from vault.Movable, part []vault.WrappedKey) ([]secret.Bytes, error) {
		return from.UnwrapDataKeys(ctx, tenant, part)
	})
}

// RewrapDataKeys implements vault.Keys: whatever wrapped them, the target does now.
func (v *Vault) RewrapDataKeys(ctx context.Context, tenant uuid.UUID, wrapped []vault.WrappedKey) ([]vault.WrappedKey, error) {
	return split(v.of, wrapped, func(from vault.Movable, part []vault.WrappedKey) ([]vault.WrappedKey, error) {
		if from == v.to {
			return v.to.RewrapDataKeys(ctx, tenant, part)
		}
		plain, err := v.from.UnwrapDataKeys(ctx, tenant, part)
		if err != nil {
			return nil, err
		}
		fresh, err := v.to.WrapDataKeys(ctx, tenant, plain)
		if errors.Is(err, vault.ErrNoKey) && v.carryKey(ctx, tenant) == nil {
			return v.to.WrapDataKeys(ctx, tenant, plain)
		}
		return fresh, err
	})
}

// of is the vault that wrapped a data key; nil where it has the form of neither, and so does not open.
func (v *Vault) of(w vault.WrappedKey) vault.Movable {
	switch {
	case v.from.Wraps(w):
		return v.from
	case v.to.Wraps(w):
		return v.to
	default:
		return nil
	}
}

// split has each vault do its part of a batch and puts the results in the order of the batch; places that a vault names are
// made those of the batch.
func split[T any](of func(vault.WrappedKey) vault.Movable, wrapped []vault.WrappedKey,
	do func(vault.Movable, []vault.WrappedKey) ([]T, error),
) ([]T, error) {
	parts, places := map[vault.Movable][]vault.WrappedKey{}, map[vault.Movable][]int{}
	spoilt := &vault.CorruptKeysError{}
	for i, w := range wrapped {
		which := of(w)
		if which == nil {
			spoilt.Places = append(spoilt.Places, i)
			continue
		}
		parts[which], places[which] = append(parts[which], w), append(places[which], i)
	}
	if len(spoilt.Places) > 0 {
		return nil, spoilt
	}
	out := make([]T, len(wrapped))
	for which, part := range parts {
		done, err := do(which, part)
		if named, ok := errors.AsType[*vault.CorruptKeysError](err); ok {
			return nil, inBatch(named, places[which])
		}
		if err != nil {
			return nil, err
		}
		if len(done) != len(part) {
			return nil, fmt.Errorf("%w: %d results for %d keys", vault.ErrUnavailable, len(done), len(part))
		}
		for n, i := range places[which] {
			out[i] = done[n]
		}
	}
	return out, nil
}

// inBatch names the same keys by their places in the batch, of which the part had these.
func inBatch(named *vault.CorruptKeysError, places []int) error {
	out := &vault.CorruptKeysError{}
	for _, n := range named.Places {
		if n < 0 || n >= len(places) {
			return fmt.Errorf("%w: it names keys that were not asked for", vault.ErrUnavailable)
		}
		out.Places = append(out.Places, places[n])
	}
	return out
}
