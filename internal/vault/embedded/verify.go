package embedded

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
)

// verify compares the file with its sum and with its mark, in one snapshot. acknowledged is a commit that the file must
// hold. Errors: ErrDamaged, ErrRolledBack and those of the store.
func (v *Vault) verify(ctx context.Context, acknowledged int64) error {
	tx, err := v.readers.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return storeError(err)
	}
	defer tx.Rollback()
	if err := checkStructure(ctx, tx); err != nil {
		return err
	}
	s, err := v.readState(ctx, tx)
	if err != nil {
		return err
	}
	if s.seq < acknowledged {
		return fmt.Errorf("%w: it ends with commit %d, but commit %d was acknowledged; put the newest copy back, or, where an older one was restored on purpose, remove %s", ErrRolledBack, s.seq, acknowledged, v.mark.path)
	}
	got, err := v.sumUp(ctx, tx)
	if err != nil {
		return err
	}
	if got != s.sum {
		return fmt.Errorf("%w: its rows do not add up to what was committed; restore a backup", ErrDamaged)
	}
	return nil
}

// acceptFile writes sum and mark anew from what the file holds.
func (v *Vault) acceptFile(ctx context.Context) error {
	v.mark.forget()
	tx, err := v.writer.BeginTx(ctx, nil)
	if err != nil {
		return storeError(err)
	}
	defer tx.Rollback()
	if err := checkStructure(ctx, tx); err != nil {
		return err
	}
	c := &change{tx: tx, auth: v.auth}
	if s, err := v.readState(ctx, tx); err == nil {
		c.state.seq = s.seq
	}
	if c.state.sum, err = v.sumUp(ctx, tx); err != nil {
		return err
	}
	if err := c.saveState(ctx); err != nil {
		return storeError(err)
	}
	return storeError(tx.Commit())
}

// checkStructure lets SQLite check its own pages. Errors: ErrDamaged.
func checkStructure(ctx context.Context, q queryer) error {
	var verdict string
	if err := q.QueryRowContext(ctx, `PRAGMA quick_check(1)`).Scan(&verdict); err != nil {
		return storeError(err)
	}
	if verdict != "ok" {
		return fmt.Errorf("%w: %s; restore a backup", ErrDamaged, verdict)
	}
	return nil
}

// sumUp adds up all rows and sees that each table is in order, without which look-ups would miss rows.
func (v *Vault) sumUp(ctx context.Context, q queryer) (sum, error) {
	var total sum
	for _, table := range []struct{ name, query string }{
		{tableKeysets, `SELECT tenant, mac FROM keysets ORDER BY tenant`},
		{tableRecords, `SELECT tenant || connection, mac FROM records ORDER BY tenant, connection`},
	} {
		rows, err := q.QueryContext(ctx, table.query)
		if err != nil {
			return sum{}, storeError(err)
		}
		if err := v.addRows(&total, table.name, rows); err != nil {
			return sum{}, err
		}
	}
	return total, nil
}

func (v *Vault) addRows(total *sum, table string, rows *sql.Rows) error {
	defer rows.Close()
	var last []byte
	for rows.Next() {
		var key, mac []byte
		if err := rows.Scan(&key, &mac); err != nil {
			return storeError(err)
		}
		if last != nil && bytes.Compare(last, key) >= 0 {
			return fmt.Errorf("%w: %s are out of order; restore a backup", ErrDamaged, table)
		}
		last = key
		total.add(v.auth.leaf(table, key, mac))
	}
	return storeError(rows.Err())
}
