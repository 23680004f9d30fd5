package isolation_test

import (
	"bytes"
	"fmt"
	"log"
	"os"
	"strings"
	"testing"

	"github.com/tokenkeep/tokenkeep/internal/servicetest"
)

// TestNothingLeaks runs everything that the service does, well and badly, with the log at its most talkative, and then
// looks for every secret that occurred in everything that was written, said or sent.
func TestNothingLeaks(t *testing.T) {
	eachStore(t, func(t *testing.T, w *world) {
		log.SetOutput(w.logs) // net/http's own complaints
		t.Cleanup(func() { log.SetOutput(os.Stderr) })
		p := w.party(t, "amber")
		f := &flows{world: w, party: p}
		f.connecting(t)
		f.reading(t)
		f.failing(t)
		f.keys(t)
		f.apps(t)
		f.mistakes(t)
		f.misplaced(t)
		f.panics(t)
		f.ending(t)
		if err := w.Connections.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.harvest(t)
		checkHarvest(t, w.hoard.kinds())
		size := 0
		for _, c := range w.corpora(t) {
			size += len(c.text)
			c.check(t, &w.hoard)
		}
		if w.server != nil && !bytes.Contains(w.kv(t), []byte("record")) {
			t.Error("KV holds no record, so that nothing is proved of any")
		}
		t.Logf("%d answers, secrets %v, %d needles, %d bytes searched", len(w.answers), w.hoard.kinds(), len(w.hoard.needles()), size)
	})
}

// eachStore runs a test on each database, with the embedded vault and with a Vault server.
func eachStore(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	servicetest.EachDatabase(t, func(t *testing.T, url string) { test(t, newWorld(t, url)) })
	t.Run("sqlite on Vault", func(t *testing.T) { test(t, newWorldOn(t, servicetest.SQLite(t), servicetest.SharedVault(t))) })
	t.Run("postgres on Vault", func(t *testing.T) { test(t, newWorldOn(t, servicetest.Postgres(t), servicetest.SharedVault(t))) })
}

// harvest adds the secrets that the service and the provider made.
func (w *world) harvest(t *testing.T) {
	t.Helper()
	for _, token := range w.wire.tokens() {
		switch {
		case strings.HasPrefix(token, "zsim_at_"):
			w.hoard.add(t, "access token", token)
		case strings.HasPrefix(token, "zsim_rt_"):
			w.hoard.add(t, "refresh token", token)
		default:
			t.Errorf("the provider gave a token of no known kind")
		}
	}
	for _, key := range w.vault.plain {
		if len(key) > 0 {
			w.hoard.add(t, "data key", string(key))
		}
	}
}

// checkHarvest fails where a kind of secret did not occur: then nothing was proved of it.
func checkHarvest(t *testing.T, kinds map[string]int) {
	t.Helper()
	for _, kind := range []string{
		"access token", "refresh token", "authorization code", "PKCE verifier", "client secret", "webhook secret", "API key", "stored API key",
		"operator key", "root key", "data key", "misplaced secret", "panicking secret",
	} {
		if kinds[kind] == 0 {
			t.Errorf("no %s occurred", kind)
		}
	}
}

// TestLeaksAreFound plants a secret in each place that TestNothingLeaks searches, and expects it to be found there.
func TestLeaksAreFound(t *testing.T) {
	servicetest.EachDatabase(t, func(t *testing.T, url string) {
		w := newWorld(t, url)
		p := w.party(t, "amber")
		secret := w.newSecret(t, "planted secret")
		places := len(w.corpora(t))
		for _, c := range w.corpora(t) {
			if found := search(w.hoard.needles(c.except...), c.text); len(found) > 0 {
				t.Fatalf("in %s ahead of the test: %v", c.name, found)
			}
		}
		_, _ = fmt.Fprintf(w.logs, `{"level":"DEBUG","msg":"planted","error":%q}`+"\n", "refused: "+secret)
		w.wire.sent = append(w.wire.sent, "GET https://example.com/?token="+secret)
		w.wire.bodies = append(w.wire.bodies, []byte("token="+secret))
		w.answers = append(w.answers, exchange{"planted", `{"data":{"connection":{"subject":"` + secret + `"}}}`})
		w.exec(t, "UPDATE connections SET failure_message = $1 WHERE tenant_id = $2", secret, p.id.String())
		found := 0
		for _, c := range w.corpora(t) {
			if len(search(w.hoard.needles(c.except...), c.text)) > 0 {
				found++
			} else if !strings.HasPrefix(c.name, "the file vault") && c.name != "the file tokenkeep.db" { // the row is in the log of SQLite
				t.Errorf("what was planted in %s was not found", c.name)
			}
		}
		if found < 5 {
			t.Errorf("found in %d of %d places", found, places)
		}
		given := `{"data":{"credential":{"accessToken":"` + secret + `","tokenType":"bearer"}}}`
		if got := search(w.hoard.needles(), []byte(withoutGiven(t, given))); len(got) > 0 {
			t.Errorf("a credential that was asked for counts as a leak: %v", got)
		}
		twice := strings.Replace(given, "bearer", secret, 1)
		if got := search(w.hoard.needles(), []byte(withoutGiven(t, twice))); len(got) == 0 {
			t.Error("a credential in a second field does not count as a leak")
		}
	})
}
