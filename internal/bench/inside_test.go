package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/tokenkeep/tokenkeep/graph"
	"github.com/tokenkeep/tokenkeep/internal/id"
	"github.com/tokenkeep/tokenkeep/internal/server"
	"github.com/tokenkeep/tokenkeep/internal/servicetest"
)

// The benchmarks run the service's handler in this process: for profiles and for allocations per request, which no
// clients and no sockets get in the way of. "go test ./internal/bench -run - -bench . -cpuprofile cpu.out" makes one.

// inside is a service in this process with one connected user and a data set.
type inside struct {
	handler http.Handler
	tenant  *servicetest.Tenant
	service *servicetest.Service
}

func newInside(b *testing.B, url string, all []account) *inside {
	s := servicetest.New(b, url, servicetest.Options{})
	in := &inside{service: s, tenant: s.Tenant(b, "bench")}
	o := owner{tenant: in.tenant.ID, app: in.tenant.App.ID, clientID: servicetest.ClientID}
	if err := fill(b.Context(), url, o, all, b.Output()); err != nil {
		b.Fatal(err)
	}
	in.handler = server.New(server.Options{Callers: s.Tenancy, GraphQL: graph.NewHandler(graph.Options{
		Connections: s.Connections, Apps: s.Apps, Tenancy: s.Tenancy, Providers: s.Catalogue, Ent: s.DB.Ent,
	})})
	return in
}

// ask sends the bodies in turn from as many goroutines as there are processors.
func (in *inside) ask(b *testing.B, want string, bodies [][]byte) {
	l := &load{want: []byte(want)}
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			r := httptest.NewRequestWithContext(b.Context(), http.MethodPost, "/graphql", bytes.NewReader(bodies[i%len(bodies)]))
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set("Authorization", "Bearer "+in.tenant.Key.Reveal())
			w := httptest.NewRecorder()
			in.handler.ServeHTTP(w, r)
			if err := l.check(w.Code, w.Body.Bytes()); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// databases runs f on both.
func databases(b *testing.B, f func(b *testing.B, url string)) {
	b.Run("sqlite", func(b *testing.B) { f(b, servicetest.SQLite(b)) })
	b.Run("postgres", func(b *testing.B) { f(b, servicetest.Postgres(b)) })
}

func BenchmarkCredential(b *testing.B) {
	databases(b, func(b *testing.B, url string) {
		in := newInside(b, url, accounts(100))
		connected := in.service.Connect(b, in.tenant, "ada")
		in.ask(b, `"__typename":"Credential"`, [][]byte{encode(credentialQuery, variables{ID: id.Connection.Format(connected.ID)})})
	})
}

func BenchmarkConnections(b *testing.B) {
	databases(b, func(b *testing.B, url string) {
		all := accounts(10_000)
		in := newInside(b, url, all)
		bodies, err := lists("", all, func(a account) map[string]string { return map[string]string{"region": a.region} }).bodies(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		in.ask(b, `"node":`, bodies)
	})
}
