package main

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"

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

// TestReadmeSettings: the table names every setting of "tokenkeep serve" with its flag, and no other.
func TestReadmeSettings(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	table := regexp.MustCompile(`(?s)\| setting \| flag of .serve. \|[^\n]*\n(.*?)\n\n`).FindSubmatch(text)
	if table == nil {
		t.Fatal("the README has no table of settings")
	}
	documented := map[string]string{}
	for line := range strings.Lines(string(table[1])) {
		cells := strings.Split(line, "|")
		if len(cells) < 4 {
			t.Fatalf("not a row of three cells: %s", line)
		}
		words := regexp.MustCompile("`([^`]+)`")
		names, flags := words.FindAllStringSubmatch(cells[1], -1), words.FindAllStringSubmatch(cells[2], -1)
		for i, name := range names {
			if documented[name[1]] = ""; i < len(flags) {
				documented[name[1]] = flags[i][1]
			}
		}
	}
	served := settingsOf(t, "serve")
	for env, flag := range served {
		if got, ok := documented[env]; !ok || got != flag {
			t.Errorf("%s (%s) is not in the table, or with another flag: %q", env, flag, got)
		}
	}
	for env := range documented {
		if _, ok := served[env]; !ok && strings.HasPrefix(env, "TOKENKEEP_") {
			t.Errorf("the table has %s, which serve does not know", env)
		}
	}
}

// settingsOf returns the environment variables of a command and their flags.
func settingsOf(t *testing.T, command string) map[string]string {
	t.Helper()
	parser, err := kong.New(&commands{})
	if err != nil {
		t.Fatal(err)
	}
	settings := map[string]string{}
	i := slices.IndexFunc(parser.Model.Children, func(n *kong.Node) bool { return n.Name == command })
	for _, flag := range parser.Model.Children[i].Flags {
		for _, env := range flag.Envs {
			settings[env] = "--" + flag.Name
		}
	}
	return settings
}
