package isolation_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"sync"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/graph"
	"github.com/tokenkeep/tokenkeep/internal/connection"
	"github.com/tokenkeep/tokenkeep/internal/secret"
	"github.com/tokenkeep/tokenkeep/internal/vault"
)

// logs is all that was logged.
type logs struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (l *logs) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

// Bytes returns a copy of all lines.
func (l *logs) Bytes() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Clone(l.text.Bytes())
}

// watchedVault notes which methods are called and which data keys come out.
type watchedVault struct {
	vault.Vault
	mu    sync.Mutex
	calls []string
	plain [][]byte
}

func (v *watchedVault) note(call string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.calls = append(v.calls, call)
}

func (v *watchedVault) keep(keys ...secret.Bytes) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, k := range keys {
		v.plain = append(v.plain, bytes.Clone(k.Reveal()))
	}
}

// taken returns the calls since the last time.
func (v *watchedVault) taken() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	out := v.calls
	v.calls = nil
	return out
}

// CreateKey implements vault.Keys.
func (v *watchedVault) CreateKey(ctx context.Context, tenant uuid.UUID) error {
	v.note("CreateKey")
	return v.Vault.CreateKey(ctx, tenant)
}

// NewDataKey implements vault.Keys.
func (v *watchedVault) NewDataKey(ctx context.Context, tenant uuid.UUID) (vault.DataKey, error) {
	v.note("NewDataKey")
	k, err := v.Vault.NewDataKey(ctx, tenant)
	v.keep(k.Plain)
	return k, err
}

// UnwrapDataKeys implements vault.Keys.
func (v *watchedVault) UnwrapDataKeys(ctx context.Context, tenant uuid.UUID, wrapped []vault.WrappedKey) ([]secret.Bytes, error) {
	v.note("UnwrapDataKeys")
	keys, err := v.Vault.UnwrapDataKeys(ctx, tenant, wrapped)
	v.keep(keys...)
	return keys, err
}

// ReadRecord implements vault.Records.
func (v *watchedVault) ReadRecord(ctx context.Context, ref vault.Ref) (vault.Record, vault.CAS, error) {
	v.note("ReadRecord")
	return v.Vault.ReadRecord(ctx, ref)
}

// WriteRecord implements vault.Records.
func (v *watchedVault) WriteRecord(ctx context.Context, ref vault.Ref, r vault.Record, cas vault.CAS) (vault.CAS, error) {
	v.note("WriteRecord")
	return v.Vault.WriteRecord(ctx, ref, r, cas)
}

// EraseRecord implements vault.Records.
func (v *watchedVault) EraseRecord(ctx context.Context, ref vault.Ref) error {
	v.note("EraseRecord")
	return v.Vault.EraseRecord(ctx, ref)
}

// MAC implements vault.Vault.
func (v *watchedVault) MAC(ctx context.Context, data []byte) ([]byte, error) {
	v.note("MAC")
	return v.Vault.MAC(ctx, data)
}

// wire is the way to the provider: it notes the addresses and the answers, and fails where a test says so.
type wire struct {
	next *http.Transport
	mu   sync.Mutex
	// sent are the requests' addresses, bodies and answers are what went over.
	sent            []string
	bodies, answers [][]byte
	fail            error
}

// RoundTrip implements http.RoundTripper.
func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := w.begin(r); err != nil {
		return nil, err
	}
	answer, err := w.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(answer.Body)
	_ = answer.Body.Close()
	w.mu.Lock()
	w.answers = append(w.answers, body)
	w.mu.Unlock()
	answer.Body = io.NopCloser(io.MultiReader(bytes.NewReader(body), errReader{err}))
	return answer, nil
}

// begin notes a request.
func (w *wire) begin(r *http.Request) error {
	var body []byte
	if r.Body != nil {
		body, _ = io.ReadAll(r.Body)
		_ = r.Body.Close()
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sent = append(w.sent, r.Method+" "+r.URL.String())
	w.bodies = append(w.bodies, body)
	return w.fail
}

// errReader ends a body as it ended on the wire.
type errReader struct{ err error }

// Read implements io.Reader.
func (r errReader) Read([]byte) (int, error) {
	if r.err == nil {
		return 0, io.EOF
	}
	return 0, r.err
}

// breaker is the domain, and fails in it where a test says so.
type breaker struct {
	graph.Connections
	// update runs ahead of each Update; what it returns, if not nil, is the error.
	update func(connection.UpdateInput) error
}

// Update implements graph.Connections.
func (b *breaker) Update(ctx context.Context, in connection.UpdateInput) (*ent.Connection, error) {
	if b.update != nil {
		if err := b.update(in); err != nil {
			return nil, err
		}
	}
	return b.Connections.Update(ctx, in)
}

// requests are the addresses of all requests so far.
func (w *wire) requests() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]string(nil), w.sent...)
}
