package main

import (
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestEmulatorSavesAsItGoes sees the state on disk while the emulator runs: a process that is killed loses a moment.
func TestEmulatorSavesAsItGoes(t *testing.T) {
	file := filepath.Join(t.TempDir(), "zoom.json")
	l, err := listen(t.Context(), "listen", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e, err := startEmulator(l, file, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := e.close(); err != nil {
			t.Error(err)
		}
	}()
	res, err := http.Post(e.url+"/_sim/clients", "application/json", strings.NewReader(`{"client_id":"new","client_secret":"s"}`))
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("registering a client: %v %v", res, err)
	}
	res.Body.Close()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	limit := time.After(20 * time.Second)
	for {
		if data, err := os.ReadFile(file); err == nil && strings.Contains(string(data), `"client_id":"new"`) {
			return
		}
		select {
		case <-tick.C:
		case <-limit:
			t.Fatal("the state was not saved")
		}
	}
}

func TestEmulatorAnswersToLoopbackNamesOnly(t *testing.T) {
	l, err := listen(t.Context(), "listen", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e, err := startEmulator(l, "", slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, e.url+"/_sim/ledger", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "evil.test"
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusMisdirectedRequest {
		t.Errorf("got %d, want 421", res.StatusCode)
	}
	if err := e.close(); err != nil {
		t.Error(err)
	}
}
