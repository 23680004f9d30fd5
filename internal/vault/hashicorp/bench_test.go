package hashicorp_test

import (
	"sync/atomic"
	"testing"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/internal/vault"
)

// Benchmarks against a server in memory on the same machine; -cpu 1,32 gives the number of clients.

func BenchmarkNewDataKey(b *testing.B) {
	v := openVault(b, rootOptions(sharedServer(b)))
	tenant := newRef(b, v).Tenant
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := v.NewDataKey(b.Context(), tenant); err != nil {
				b.Error(err)
			}
		}
	})
}

func BenchmarkReadRecord(b *testing.B) {
	v := openVault(b, rootOptions(sharedServer(b)))
	ref := newRef(b, v)
	write(b, v, ref, 1, 0)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, _, err := v.ReadRecord(b.Context(), ref); err != nil {
				b.Error(err)
			}
		}
	})
}

func BenchmarkWriteRecord(b *testing.B) {
	v := openVault(b, rootOptions(sharedServer(b)))
	tenant := newRef(b, v).Tenant
	b.RunParallel(func(pb *testing.PB) {
		ref := vault.Ref{Tenant: tenant, Connection: uuid.New()}
		r := seal(b, v, ref, 1)
		var cas vault.CAS
		for pb.Next() {
			next, err := v.WriteRecord(b.Context(), ref, r, cas)
			if err != nil {
				b.Fatal(err)
			}
			cas = next
		}
	})
}

// BenchmarkRefresh is what a refresh asks of the vault: read, unwrap, data key, write.
func BenchmarkRefresh(b *testing.B) {
	o := rootOptions(sharedServer(b))
	o.KeyCache = -1
	v := openVault(b, o)
	tenant := newRef(b, v).Tenant
	b.RunParallel(func(pb *testing.PB) {
		ref := vault.Ref{Tenant: tenant, Connection: uuid.New()}
		write(b, v, ref, 1, 0)
		for pb.Next() {
			r, cas := head(b, v, ref)
			if _, err := vault.OpenRecord(b.Context(), v, ref, r); err != nil {
				b.Fatal(err)
			}
			write(b, v, ref, r.Generation+1, cas)
		}
	})
}

// BenchmarkOpenHundred opens a hundred records with one request.
func BenchmarkOpenHundred(b *testing.B) {
	o := rootOptions(sharedServer(b))
	o.KeyCache = -1
	v := openVault(b, o)
	tenant := newRef(b, v).Tenant
	var items []vault.RecordOf
	for range 100 {
		ref := vault.Ref{Tenant: tenant, Connection: uuid.New()}
		items = append(items, vault.RecordOf{Connection: ref.Connection, Record: seal(b, v, ref, 1)})
	}
	var opened atomic.Int64
	for b.Loop() {
		out, err := vault.OpenRecords(b.Context(), v, tenant, items)
		if err != nil {
			b.Fatal(err)
		}
		opened.Add(int64(len(out)))
	}
	b.ReportMetric(float64(opened.Load())/b.Elapsed().Seconds(), "records/s")
}
