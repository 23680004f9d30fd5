package hashicorp

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/internal/vault"
)

// PrepareWrite implements vault.Records: there is nothing to prepare.
func (v *Vault) PrepareWrite(context.Context, vault.Ref) error { return nil }

// ReadRecord implements vault.Records, with one request. What somebody deleted or destroyed in KV by hand is
// vault.ErrErased. Errors: also vault.ErrDenied.
func (v *Vault) ReadRecord(ctx context.Context, ref vault.Ref) (vault.Record, vault.CAS, error) {
	s, cas, err := v.readSlot(ctx, ref)
	var r vault.Record
	if err == nil {
		r, err = s.Head()
	} else if errors.Is(err, vault.ErrNotFound) {
		err = vault.NeverWritten(ctx, v)
	}
	if err != nil {
		return vault.Record{}, cas, fmt.Errorf("reading a record: %w", sentinel(err))
	}
	return r, cas, nil
}

func (v *Vault) readSlot(ctx context.Context, ref vault.Ref) (vault.Slot, vault.CAS, error) {
	k, err := v.readKV(ctx, v.service, recordPath(ref))
	if err != nil {
		return vault.Slot{}, 0, err
	}
	cas := vault.CAS(k.Metadata.Version)
	switch {
	case k.gone():
		return vault.Slot{}, cas, fmt.Errorf("%w: deleted in KV itself", vault.ErrErased)
	case k.Data == nil:
		return vault.Slot{}, 0, vault.ErrNotFound
	case k.Data.Erased:
		return vault.Slot{}, cas, vault.ErrErased
	}
	s, err := decodeSlot(k.Data.Record)
	return s, cas, err
}

// WriteRecord implements vault.Records, with one request, and one or two more ahead of a connection's first record. Errors:
// also vault.ErrInvalid and vault.ErrDenied, with which nothing was written. Vault cannot tell us that its storage is
// full: that is vault.ErrUnavailable.
func (v *Vault) WriteRecord(ctx context.Context, ref vault.Ref, r vault.Record, cas vault.CAS) (vault.CAS, error) {
	encoded, err := r.MarshalBinary()
	if err == nil {
		err = checkRef(ref)
	}
	if err == nil && cas < 0 {
		err = vault.ErrMismatch
	}
	if err != nil {
		return 0, fmt.Errorf("writing a record: %w", err)
	}
	next, err := v.replace(ctx, ref, value{Record: encodeRecord(encoded)}, cas)
	if err != nil {
		return 0, fmt.Errorf("writing a record: %w", sentinel(err))
	}
	return next, nil
}

// replace writes over the number.
func (v *Vault) replace(ctx context.Context, ref vault.Ref, val value, cas vault.CAS) (vault.CAS, error) {
	if cas == 0 {
		if err := v.keepOne(ctx, v.service, recordPath(ref)); err != nil {
			return 0, fmt.Errorf("nothing was written: %w", sentinel(err))
		}
	}
	next, err := v.writeKV(ctx, v.service, recordPath(ref), val, cas)
	if errors.Is(err, vault.ErrMismatch) {
		err = v.whyMismatch(ctx, ref)
	}
	return next, err
}

// whyMismatch tells an erased head from one that moved.
func (v *Vault) whyMismatch(ctx context.Context, ref vault.Ref) error {
	_, head, err := v.readSlot(ctx, ref)
	if errors.Is(err, vault.ErrErased) {
		return vault.ErrErased
	}
	if err == nil || errors.Is(err, vault.ErrNotFound) || errors.Is(err, vault.ErrCorrupt) {
		return fmt.Errorf("%w: it is %d", vault.ErrMismatch, head)
	}
	return fmt.Errorf("%w, and why is not known: %w", vault.ErrMismatch, err)
}

// EraseRecord implements vault.Records: a note takes the record's place, and every older version is destroyed, also
// those of a mount that keeps more than one. A record that is on its way to another vault is erased by who knows both: here
// that is vault.ErrUnavailable.
func (v *Vault) EraseRecord(ctx context.Context, ref vault.Ref) error {
	if err := checkRef(ref); err != nil {
		return fmt.Errorf("erasing a record: %w", err)
	}
	noted, err := v.noteErased(ctx, ref)
	if err == nil {
		err = v.destroyOlder(ctx, ref, noted)
	}
	if err != nil {
		return fmt.Errorf("erasing a record: %w", sentinel(err))
	}
	return nil
}

// noteErased writes the note over whatever is there, and returns its number. A note in doubt is looked for.
func (v *Vault) noteErased(ctx context.Context, ref vault.Ref) (vault.CAS, error) {
	path := recordPath(ref)
	for doubts := 0; ; {
		k, err := v.readKV(ctx, v.service, path)
		if err != nil {
			return 0, err
		}
		cas := vault.CAS(k.Metadata.Version)
		if k.Data != nil && k.Data.Erased {
			return cas, nil
		}
		if k.Data != nil && noted(k.Data.Record) {
			_, err := vault.Slot{Note: vault.NoteMoved}.Head()
			return 0, err
		}
		if cas == 0 {
			if err := v.keepOne(ctx, v.service, path); err != nil {
				return 0, err
			}
		}
		next, err := v.writeKV(ctx, v.service, path, value{Erased: true}, cas)
		if err == nil {
			return next, nil
		}
		if errors.Is(err, vault.ErrMismatch) && ctx.Err() == nil {
			continue // somebody wrote; it is erased all the same
		}
		if refused(err) || doubts >= v.options.Retries || pause(ctx, doubts) != nil {
			return 0, err
		}
		doubts++
	}
}

// destroyOlder destroys the versions before the note that still have data.
func (v *Vault) destroyOlder(ctx context.Context, ref vault.Ref, noted vault.CAS) error {
	path := recordPath(ref)
	var meta struct {
		Versions map[int64]struct {
			Destroyed bool `json:"destroyed"`
		} `json:"versions"`
	}
	if err := v.call(ctx, v.service, request{method: http.MethodGet, path: v.options.KVMount + "/metadata/" + path, head: true}, &meta); err != nil {
		return err
	}
	var left []int64
	for version, is := range meta.Versions {
		if version < int64(noted) && !is.Destroyed {
			left = append(left, version)
		}
	}
	if len(left) == 0 {
		return nil
	}
	slices.Sort(left)
	return v.call(ctx, v.service, request{
		method: http.MethodPut, path: v.options.KVMount + "/destroy/" + path, body: map[string][]int64{"versions": left},
	}, nil)
}

func checkRef(ref vault.Ref) error {
	if ref.Tenant == uuid.Nil || ref.Connection == uuid.Nil {
		return fmt.Errorf("%w: a reference without tenant or connection", vault.ErrInvalid)
	}
	return nil
}
