package hashicorp

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/internal/vault"
)

// root is the folder of everything of ours in KV.
const root = "tokenkeep"

// tenantPath is where a tenant's mark is; its records are below.
func tenantPath(tenant uuid.UUID) string { return root + "/tenants/" + tenant.String() }

// connectionsPath is the folder of a tenant's records.
func connectionsPath(tenant uuid.UUID) string { return tenantPath(tenant) + "/connections" }

func recordPath(ref vault.Ref) string {
	return connectionsPath(ref.Tenant) + "/" + ref.Connection.String()
}

// value is what we keep under a path: a record, a mark, or the note that a record was erased.
type value struct {
	Record string `json:"record,omitempty"`
	Erased bool   `json:"erased,omitempty"`
	Key    string `json:"key,omitempty"`
}

// kept is a value with what KV knows about it.
type kept struct {
	Data     *value `json:"data"`
	Metadata struct {
		Version int64 `json:"version"`
	} `json:"metadata"`
}

// gone reports whether somebody deleted or destroyed the version beneath us: it has a number and no data.
func (k kept) gone() bool { return k.Data == nil && k.Metadata.Version > 0 }

// readKV reads the head under a path; the zero value says that there is nothing. What KV calls deleted comes with its
// number and without data.
func (v *Vault) readKV(ctx context.Context, id *identity, path string) (kept, error) {
	var k kept
	err := v.call(ctx, id, request{method: http.MethodGet, path: v.options.KVMount + "/data/" + path, head: true}, &k)
	if e, ok := asAnswer(err); ok && e.status == http.StatusNotFound && len(e.said) == 0 {
		return k, nil
	}
	if err != nil {
		return kept{}, err
	}
	if k.Data == nil || k.Metadata.Version < 1 {
		return kept{}, &sentError{what: "GET " + path, cause: errors.New("an answer without value or version: is this KV version 2?")}
	}
	return k, nil
}

// writeKV writes by check-and-set and returns the new number. It is sent once. Errors: vault.ErrMismatch, and in doubt
// any other.
func (v *Vault) writeKV(ctx context.Context, id *identity, path string, val value, cas vault.CAS) (vault.CAS, error) {
	var written struct {
		Version int64 `json:"version"`
	}
	err := v.call(ctx, id, request{
		method: http.MethodPut, path: v.options.KVMount + "/data/" + path, once: true,
		body: map[string]any{"data": val, "options": map[string]int64{"cas": int64(cas)}},
	}, &written)
	if e, ok := asAnswer(err); ok && e.status == http.StatusBadRequest && e.says("check-and-set parameter did not match") {
		return 0, vault.ErrMismatch
	}
	if err != nil {
		return 0, err
	}
	if written.Version < 1 {
		return 0, &sentError{what: "PUT " + path, cause: errors.New("an answer without a version: is this KV version 2?")}
	}
	return vault.CAS(written.Version), nil
}

// What is known of how many versions the KV mount keeps.
const (
	versionsUnknown = iota
	versionsOne
	versionsMany
)

// keepOne sees to it that KV keeps one version under a path which is about to be written for the first time. Where the
// mount is set so, nothing is to be done.
func (v *Vault) keepOne(ctx context.Context, id *identity, path string) error {
	if v.versions.Load() == versionsUnknown {
		v.askVersions(ctx)
	}
	if v.versions.Load() == versionsOne {
		return nil
	}
	return v.call(ctx, id, request{
		method: http.MethodPut, path: v.options.KVMount + "/metadata/" + path, body: map[string]int{"max_versions": 1},
	}, nil)
}

// askVersions learns how many versions the mount keeps; where a policy does not let us know, it is more than one.
func (v *Vault) askVersions(ctx context.Context) {
	var config struct {
		MaxVersions int `json:"max_versions"`
	}
	err := v.call(ctx, v.service, request{method: http.MethodGet, path: v.options.KVMount + "/config"}, &config)
	switch {
	case err == nil && config.MaxVersions == 1:
		v.versions.Store(versionsOne)
	case err == nil || refused(err):
		v.versions.Store(versionsMany)
	}
}

// encodeRecord and decodeSlot are how the bytes of a record, or of a note, rest in JSON.
func encodeRecord(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

func decodeSlot(text string) (vault.Slot, error) {
	var s vault.Slot
	b, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil {
		return s, vault.ErrCorrupt
	}
	return s, s.UnmarshalBinary(b)
}

// noted reports whether a text is a note's.
func noted(text string) bool {
	b, err := base64.StdEncoding.DecodeString(text)
	return err == nil && vault.Noted(b)
}
