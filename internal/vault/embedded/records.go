package embedded

import (
	"context"
	"crypto/hmac"
	"database/sql"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/internal/vault"
)

const tableRecords = "records"

// PrepareWrite implements vault.Records: there is nothing to prepare.
func (v *Vault) PrepareWrite(context.Context, vault.Ref) error { return nil }

// ReadRecord implements vault.Records.
func (v *Vault) ReadRecord(ctx context.Context, ref vault.Ref) (vault.Record, vault.CAS, error) {
	s, cas, err := v.readSlot(ctx, ref)
	var r vault.Record
	if err == nil {
		r, err = s.Head()
	} else if errors.Is(err, vault.ErrNotFound) {
		err = vault.NeverWritten(ctx, v)
	}
	if err != nil {
		return vault.Record{}, cas, fmt.Errorf("reading a record: %w", err)
	}
	return r, cas, nil
}

// readSlot reads what rests under ref.
func (v *Vault) readSlot(ctx context.Context, ref vault.Ref) (vault.Slot, vault.CAS, error) {
	var mac, encoded []byte
	var cas vault.CAS
	err := v.readers.QueryRowContext(ctx, `SELECT mac, cas, record FROM records WHERE tenant = ? AND connection = ?`,
		ref.Tenant[:], ref.Connection[:]).Scan(&mac, &cas, &encoded)
	if errors.Is(err, sql.ErrNoRows) {
		return vault.Slot{}, 0, vault.ErrNotFound
	}
	if err != nil {
		return vault.Slot{}, 0, storeError(err)
	}
	s, err := v.decodeSlot(ref, mac, cas, encoded)
	return s, cas, err
}

// decodeSlot authenticates a row and decodes what it holds. Errors: vault.ErrErased, vault.ErrCorrupt.
func (v *Vault) decodeSlot(ref vault.Ref, mac []byte, cas vault.CAS, encoded []byte) (vault.Slot, error) {
	var s vault.Slot
	if !hmac.Equal(mac, v.recordMAC(ref, cas, encoded)) {
		return s, fmt.Errorf("%w: the row was altered", vault.ErrCorrupt)
	}
	if encoded == nil {
		return s, vault.ErrErased
	}
	return s, s.UnmarshalBinary(encoded)
}

// WriteRecord implements vault.Records. Once begun it is carried through whatever becomes of ctx. Errors: also
// vault.ErrInvalid (a record or a reference that names nothing).
func (v *Vault) WriteRecord(ctx context.Context, ref vault.Ref, r vault.Record, cas vault.CAS) (vault.CAS, error) {
	encoded, err := r.MarshalBinary()
	if err == nil {
		err = checkRef(ref)
	}
	if err != nil {
		return 0, fmt.Errorf("writing a record: %w", err)
	}
	return v.replace(ctx, ref, encoded, cas)
}

// replace writes over the number; encoded nil is an erasure.
func (v *Vault) replace(ctx context.Context, ref vault.Ref, encoded []byte, cas vault.CAS) (vault.CAS, error) {
	err := v.write(ctx, "writing a record", func(c *change) error {
		head, err := readHead(c, ref)
		if err != nil {
			return err
		}
		if head.cas != cas {
			if head.erased {
				return vault.ErrErased
			}
			return fmt.Errorf("%w: it is %d, not %d", vault.ErrMismatch, head.cas, cas)
		}
		return v.saveRecord(c, ref, head, encoded)
	})
	if err != nil {
		return 0, err
	}
	return cas + 1, nil
}

// EraseRecord implements vault.Records: the row stays as a marker. The sealed bytes are overwritten in the file; a copy
// may remain in the log until its next checkpoint. A record that is on its way to another vault is erased by who knows both:
// here that is vault.ErrUnavailable.
func (v *Vault) EraseRecord(ctx context.Context, ref vault.Ref) error {
	if err := checkRef(ref); err != nil {
		return fmt.Errorf("erasing a record: %w", err)
	}
	return v.write(ctx, "erasing a record", func(c *change) error {
		head, err := readHead(c, ref)
		if err != nil || head.erased {
			return err
		}
		if head.noted {
			_, err := vault.Slot{Note: vault.NoteMoved}.Head()
			return err
		}
		return v.saveRecord(c, ref, head, nil)
	})
}

// ListRecords implements vault.Records.
func (v *Vault) ListRecords(ctx context.Context, tenant, after uuid.UUID, limit int) ([]uuid.UUID, error) {
	ids, err := v.listRecords(ctx, false, tenant, after, max(limit, 0))
	if err != nil {
		return nil, fmt.Errorf("listing records: %w", storeError(err))
	}
	return ids, nil
}

// listRecords lists the rows, those of erased records too where that is wanted.
func (v *Vault) listRecords(ctx context.Context, erased bool, tenant, after uuid.UUID, limit int) ([]uuid.UUID, error) {
	rows, err := v.readers.QueryContext(ctx, `SELECT connection FROM records
		WHERE tenant = ? AND connection > ? AND (? OR record IS NOT NULL) ORDER BY connection LIMIT ?`, tenant[:], after[:], erased, limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var ids []uuid.UUID
	for rows.Next() {
		var raw []byte
		if err := rows.Scan(&raw); err != nil {
			return nil, err
		}
		id, err := uuid.FromBytes(raw)
		if err != nil {
			return nil, fmt.Errorf("%w: a connection id of %d bytes", vault.ErrCorrupt, len(raw))
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}

// head is what a write needs to know of the row it replaces; the zero value is no row.
type head struct {
	mac    []byte
	cas    vault.CAS
	erased bool
	noted  bool
}

func readHead(c *change, ref vault.Ref) (head, error) {
	var h head
	var first []byte
	err := c.tx.QueryRow(`SELECT mac, cas, record IS NULL, substr(record, 1, 1) FROM records WHERE tenant = ? AND connection = ?`,
		ref.Tenant[:], ref.Connection[:]).Scan(&h.mac, &h.cas, &h.erased, &first)
	h.noted = vault.Noted(first)
	if errors.Is(err, sql.ErrNoRows) {
		return head{}, nil
	}
	return h, err
}

// saveRecord writes a row of records with the next number; encoded nil marks the record as erased.
func (v *Vault) saveRecord(c *change, ref vault.Ref, h head, encoded []byte) error {
	cas := h.cas + 1
	mac := v.recordMAC(ref, cas, encoded)
	_, err := c.tx.Exec(`INSERT INTO records (tenant, connection, mac, cas, record) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (tenant, connection) DO UPDATE SET mac = excluded.mac, cas = excluded.cas, record = excluded.record`,
		ref.Tenant[:], ref.Connection[:], mac, cas, encoded)
	c.put(tableRecords, append(ref.Tenant[:], ref.Connection[:]...), h.mac, mac)
	return err
}

func (v *Vault) recordMAC(ref vault.Ref, cas vault.CAS, encoded []byte) []byte {
	return v.auth.mac(tableRecords, ref.Tenant[:], ref.Connection[:], number(int64(cas)), optional(encoded))
}

func checkRef(ref vault.Ref) error {
	if ref.Tenant == uuid.Nil || ref.Connection == uuid.Nil {
		return fmt.Errorf("%w: a reference without tenant or connection", vault.ErrInvalid)
	}
	return nil
}
