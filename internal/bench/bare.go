package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"reflect"
	"sync"
	"time"
)

// bareArgument makes this binary the reference.
const bareArgument = "bare"

// bare is the reference: what net/http and encoding/json cost by themselves for the requests and answers of a row.
// A PUT of an answer to /row makes it the one that a POST to /row gets.
type bare struct {
	mu      sync.RWMutex
	answers map[string]*answer
}

// serveBare serves until in ends, which it does at the latest when the bench has gone. The first line on out is the
// address.
func serveBare(in io.Reader, out io.Writer) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // nothing to cancel: the address is free or it is not
	if err != nil {
		return err
	}
	server := &http.Server{Handler: &bare{answers: map[string]*answer{}}, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		_, _ = io.Copy(io.Discard, in)
		_ = server.Close()
	}()
	if _, err := fmt.Fprintf(out, "http://%s\n", listener.Addr()); err != nil {
		return err
	}
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// ServeHTTP implements http.Handler.
func (b *bare) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPut {
		b.put(w, r)
		return
	}
	var asked request
	if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	b.mu.RLock()
	answer := b.answers[r.URL.Path]
	b.mu.RUnlock()
	body, err := json.Marshal(answer)
	if err != nil || answer == nil {
		http.Error(w, fmt.Sprint("no answer: ", err), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(body)
}

func (b *bare) put(w http.ResponseWriter, r *http.Request) {
	var given answer
	if err := json.NewDecoder(r.Body).Decode(&given); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	b.mu.Lock()
	b.answers[r.URL.Path] = &given
	b.mu.Unlock()
	w.WriteHeader(http.StatusNoContent)
}

// teach gives the reference the answer that the service gave, and makes sure that it repeats it whole.
func teach(ctx context.Context, l *load, body, given []byte) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPut, l.url, bytes.NewReader(given))
	if err != nil {
		return err
	}
	response, err := l.client.Do(r)
	if err != nil {
		return fmt.Errorf("teaching the reference: %w", err)
	}
	_ = response.Body.Close()
	repeated, err := l.post(ctx, body)
	if err != nil {
		return fmt.Errorf("asking the reference: %w", err)
	}
	if !sameJSON(given, repeated) {
		return fmt.Errorf("the reference does not encode the service's answer: got %s, want %s", repeated, given)
	}
	return nil
}

func sameJSON(a, b []byte) bool {
	var left, right any
	return json.Unmarshal(a, &left) == nil && json.Unmarshal(b, &right) == nil && reflect.DeepEqual(left, right)
}
