package main

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeep/tokenkeep/internal/zoomsim"
)

// TestReadmeTour pastes the commands of the README's tour into a shell, against "tokenkeep dev".
func TestReadmeTour(t *testing.T) {
	dev := runDev(t, filepath.Join(t.TempDir(), "data"))
	defer dev.stop()
	script := "set -eu\n" + readmeTour(t)
	for from, to := range map[string]string{
		"http://127.0.0.1:8080/graphql": dev.info.GraphQL, "http://127.0.0.1:8090": dev.info.Zoom, "export TK=tk_...": "export TK=" + dev.info.APIKey,
	} {
		if !strings.Contains(script, from) {
			t.Errorf("the tour does not say %q any more", from)
		}
		script = strings.ReplaceAll(script, from, to)
	}
	out, err := exec.CommandContext(t.Context(), "bash", "-c", script).CombinedOutput()
	if err != nil {
		t.Fatalf("the tour failed: %v\n%s", err, out)
	}
	for _, want := range []string{
		`"created":true`, `"state":"CONNECTED","externalEmail":"alice@example.com","credentialVersion":1`,
		`"totalCount":1`, `"subject":"user-7","state":"CONNECTED"`,
		`"__typename":"Credential","version":1,"tokenType":"bearer","accessToken":"zsim_at_`, `"deletedId":"conn_`,
	} {
		if !strings.Contains(string(out), want) {
			t.Errorf("the tour does not print %s\n%s", want, out)
		}
	}
	waitRevoked(t, dev.info.Zoom)
}

// readmeTour returns the shell blocks of the README's tour.
func readmeTour(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	section := regexp.MustCompile(`(?s)\n## A tour in five minutes\n(.*?)\n## `).FindSubmatch(text)
	if section == nil {
		t.Fatal("the README has no tour")
	}
	var script strings.Builder
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllSubmatch(section[1], -1) {
		script.Write(block[1])
	}
	return regexp.MustCompile(`(?m)^curl .*/_sim/ledger.*$`).ReplaceAllString(script.String(), "") // see waitRevoked
}

// waitRevoked waits until the emulator's ledger has the grant ended by a revocation: the job runs on its own time.
func waitRevoked(t *testing.T, zoom string) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(20 * time.Second)
	for {
		answer, err := http.Get(zoom + "/_sim/ledger") //nolint:gosec,noctx // a server of this test
		if err != nil {
			t.Fatal(err)
		}
		var ledger zoomsim.Ledger
		err = json.NewDecoder(answer.Body).Decode(&ledger)
		_ = answer.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		if len(ledger.Grants) == 1 && ledger.Grants[0].EndedReason == zoomsim.EndedByRevoke {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("the grant was not revoked: %+v", ledger)
		}
	}
}
