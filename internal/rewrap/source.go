package rewrap

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/internal/vault"
)

// source is one kind of sealed things.
type source interface {
	// page returns those of a tenant behind an id, in the order of their ids.
	page(ctx context.Context, tenant, after uuid.UUID, limit int) (page, error)
}

// page is a part of a source.
type page struct {
	items []item
	// last is the id of the last row that was looked at.
	last uuid.UUID
	// more is false where the source ends here.
	more bool
}

// item is one sealed thing.
type item struct {
	id  uuid.UUID
	key vault.WrappedKey
	// put stores the thing with another wrapped key; false where it changed meanwhile.
	put func(context.Context, vault.WrappedKey) (bool, error)
	// again reads a thing that changed; false where it is gone.
	again func(context.Context) (item, bool, error)
}

// sources are all there are. The order matters: an escrow moves from the database to the vault, so whoever looks there
// first and here afterwards could miss it.
func (s *Service) sources() []source {
	return []source{
		column{s, "escrows", "record", "key_version", recordCodec},
		column{s, "grant_attempts", "answer", "answer_key_version", valueCodec},
		column{s, "revocation_jobs", "sealed", "key_version", valueCodec},
		column{s, "oauth_apps", "client_secret", "client_secret_key_version", valueCodec},
		column{s, "oauth_apps", "webhook_secret", "webhook_secret_key_version", valueCodec},
		records{s},
	}
}

// codec finds and replaces the wrapped key in something sealed.
type codec struct {
	read  func([]byte) (vault.WrappedKey, error)
	write func([]byte, vault.WrappedKey) ([]byte, error)
}

var (
	valueCodec = codec{
		read: vault.WrappedKeyOf,
		write: func(b []byte, w vault.WrappedKey) ([]byte, error) {
			sealed, err := vault.WithWrappedKey(b, w)
			return sealed.Bytes, err
		},
	}
	recordCodec = codec{
		read: func(b []byte) (vault.WrappedKey, error) {
			var r vault.Record
			err := r.UnmarshalBinary(b)
			return r.Key, err
		},
		write: func(b []byte, w vault.WrappedKey) ([]byte, error) {
			var r vault.Record
			if err := r.UnmarshalBinary(b); err != nil {
				return nil, err
			}
			r.Key = w
			return r.MarshalBinary()
		},
	}
)

// column is a column of the database that holds something sealed, beside one that repeats the key's version.
type column struct {
	s                     *Service
	table, bytes, version string
	codec                 codec
}

// page implements source. What cannot even be taken apart has no version and cannot be opened under any: it is passed
// over and logged.
func (c column) page(ctx context.Context, tenant, after uuid.UUID, limit int) (page, error) {
	rows, err := c.s.DB.Ent.QueryContext(ctx, fmt.Sprintf(`SELECT id, %s FROM %s WHERE tenant_id = $1 AND id > $2 AND %s IS NOT NULL ORDER BY id LIMIT %d`,
		c.bytes, c.table, c.bytes, limit), tenant, after)
	if err != nil {
		return page{}, fmt.Errorf("reading %s: %w", c.table, err)
	}
	defer func() { _ = rows.Close() }()
	var p page
	n := 0
	for ; rows.Next(); n++ {
		var sealed []byte
		if err := rows.Scan(&p.last, &sealed); err != nil {
			return page{}, fmt.Errorf("reading %s: %w", c.table, err)
		}
		one, err := c.item(tenant, p.last, sealed)
		if err != nil {
			c.s.Logger.WarnContext(ctx, "something sealed cannot be read", "table", c.table, "id", p.last, "error", err)
			continue
		}
		p.items = append(p.items, one)
	}
	p.more = n == limit
	return p, rows.Err()
}

func (c column) item(tenant, id uuid.UUID, sealed []byte) (item, error) {
	key, err := c.codec.read(sealed)
	put := func(ctx context.Context, w vault.WrappedKey) (bool, error) { return c.put(ctx, tenant, id, sealed, w) }
	again := func(ctx context.Context) (item, bool, error) { return c.again(ctx, tenant, id) }
	return item{id: id, key: key, put: put, again: again}, err
}

// put replaces the bytes if they still are the ones that were read.
func (c column) put(ctx context.Context, tenant, id uuid.UUID, old []byte, w vault.WrappedKey) (bool, error) {
	fresh, err := c.codec.write(old, w)
	if err != nil {
		return false, err
	}
	res, err := c.s.DB.Ent.ExecContext(ctx, fmt.Sprintf(`UPDATE %s SET %s = $1, %s = $2 WHERE tenant_id = $3 AND id = $4 AND %s = $5`,
		c.table, c.bytes, c.version, c.bytes), fresh, w.Version, tenant, id, old)
	if err != nil {
		return false, fmt.Errorf("writing %s: %w", c.table, err)
	}
	n, err := res.RowsAffected()
	return n == 1, err
}

// again reads one row.
func (c column) again(ctx context.Context, tenant, id uuid.UUID) (item, bool, error) {
	rows, err := c.s.DB.Ent.QueryContext(ctx, fmt.Sprintf(`SELECT %s FROM %s WHERE tenant_id = $1 AND id = $2 AND %s IS NOT NULL`,
		c.bytes, c.table, c.bytes), tenant, id)
	if err != nil {
		return item{}, false, fmt.Errorf("reading %s: %w", c.table, err)
	}
	defer func() { _ = rows.Close() }()
	var sealed []byte
	if !rows.Next() {
		return item{}, false, rows.Err()
	}
	if err := rows.Scan(&sealed); err != nil {
		return item{}, false, fmt.Errorf("reading %s: %w", c.table, err)
	}
	one, err := c.item(tenant, id, sealed)
	return one, err == nil, nil
}

// records are the vault's.
type records struct{ s *Service }

// page implements source.
func (v records) page(ctx context.Context, tenant, after uuid.UUID, limit int) (page, error) {
	ids, err := v.s.Vault.ListRecords(ctx, tenant, after, limit)
	if err != nil || len(ids) == 0 {
		return page{}, err
	}
	p := page{last: ids[len(ids)-1], more: true}
	for _, id := range ids {
		one, ok, err := v.item(ctx, vault.Ref{Tenant: tenant, Connection: id})
		if err != nil {
			return page{}, err
		}
		if ok {
			p.items = append(p.items, one)
		}
	}
	return p, nil
}

// item reads a record; false where there is none, or none that can be taken apart.
func (v records) item(ctx context.Context, ref vault.Ref) (item, bool, error) {
	r, cas, err := v.s.Vault.ReadRecord(ctx, ref)
	switch {
	case errors.Is(err, vault.ErrErased), errors.Is(err, vault.ErrNotFound):
		return item{}, false, nil
	case errors.Is(err, vault.ErrCorrupt):
		v.s.Logger.WarnContext(ctx, "a record cannot be read", "connection", ref.Connection, "error", err)
		return item{}, false, nil
	case err != nil:
		return item{}, false, err
	}
	put := func(ctx context.Context, w vault.WrappedKey) (bool, error) {
		r.Key = w
		_, err := v.s.Vault.WriteRecord(ctx, ref, r, cas)
		if errors.Is(err, vault.ErrMismatch) || errors.Is(err, vault.ErrErased) {
			return false, nil
		}
		return err == nil, err
	}
	again := func(ctx context.Context) (item, bool, error) { return v.item(ctx, ref) }
	return item{id: ref.Connection, key: r.Key, put: put, again: again}, true, nil
}

// Columns names the columns that say under which key version something in the database is sealed: "table.column".
func Columns() map[string]bool {
	all := map[string]bool{}
	for _, one := range (&Service{}).sources() {
		if c, ok := one.(column); ok {
			all[c.table+"."+c.version] = true
		}
	}
	return all
}
