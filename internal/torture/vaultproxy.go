package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/tokenkeep/tokenkeep/internal/vault"
)

// vaultProxy stands between one replica and Vault.
type vaultProxy struct {
	world   *world
	replica int
	traps   *traps
	to      string
	client  *http.Client
	// loseAnswers and loseWrites are how many writes of records still go wrong: behind a 502 after they landed, or before.
	loseAnswers, loseWrites atomic.Int64
}

// asked is what the proxy makes of a request.
type asked struct {
	// write is set for the write of a record, whose connection and generation follow.
	write      bool
	connection string
	generation int64
	// refresh says that a refresh writes it.
	refresh bool
	// dataKey is set for the request of a data key: nobody asks for one but who is about to seal something.
	dataKey bool
}

// ServeHTTP implements http.Handler.
func (v *vaultProxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxAnswer))
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	is := understand(r, body)
	if is.dataKey {
		v.hold(atClaimed, "a data key")
	}
	if is.write {
		v.hold(atAnswered, is.connection)
		if spend(&v.loseWrites) {
			panic(http.ErrAbortHandler)
		}
	}
	a, err := v.forward(r, body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if is.write && a.status < http.StatusMultipleChoices {
		v.world.ledger.durably(is.connection, record{generation: is.generation, replica: v.replica, refresh: is.refresh, at: time.Now()})
		if t := v.traps.take(atStored, is.connection); t != nil {
			panic(http.ErrAbortHandler)
		}
		if spend(&v.loseAnswers) {
			http.Error(w, "bad gateway", http.StatusBadGateway)
			return
		}
	}
	deliver(w, a)
}

// hold holds the request at a point, if a trap waits there, and ends it unless it is to go on.
func (v *vaultProxy) hold(at, what string) {
	if t := v.traps.take(at, what); t != nil && !t.forward {
		panic(http.ErrAbortHandler)
	}
}

// spend takes one of what is left; false where nothing is.
func spend(left *atomic.Int64) bool {
	for n := left.Load(); n > 0; n = left.Load() {
		if left.CompareAndSwap(n, n-1) {
			return true
		}
	}
	return false
}

// forward sends the request on, whatever becomes of its sender meanwhile: a server does not notice either.
func (v *vaultProxy) forward(r *http.Request, body []byte) (*recorded, error) {
	on := r.Clone(v.world.background)
	on.Body, on.ContentLength, on.RequestURI = io.NopCloser(bytes.NewReader(body)), int64(len(body)), ""
	on.URL.Scheme, on.URL.Host, on.Host = "http", v.to, v.to
	response, err := v.client.Do(on)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	a := &recorded{header: http.Header{}, status: response.StatusCode}
	maps.Copy(a.header, response.Header)
	_, err = a.body.ReadFrom(response.Body)
	return a, err
}

// understand finds out what a request is about.
func understand(r *http.Request, body []byte) asked {
	if r.Method != http.MethodPut && r.Method != http.MethodPost {
		return asked{}
	}
	if strings.Contains(r.URL.Path, "/datakey/plaintext/") {
		return asked{dataKey: true}
	}
	_, connection, found := strings.Cut(r.URL.Path, "/connections/")
	if !found || !strings.Contains(r.URL.Path, "/data/") {
		return asked{}
	}
	var sent struct{ Data struct{ Record string } }
	if json.Unmarshal(body, &sent) != nil || sent.Data.Record == "" {
		return asked{} // the note that a record was erased
	}
	sealed, err := base64.StdEncoding.DecodeString(sent.Data.Record)
	var rec vault.Record
	if err != nil || rec.UnmarshalBinary(sealed) != nil {
		return asked{}
	}
	return asked{write: true, connection: connection, generation: rec.Generation, refresh: rec.Origin == "refresh"}
}
