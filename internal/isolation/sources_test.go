package isolation_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"entgo.io/ent/dialect"
)

// corpus is a text in which no secret belongs.
type corpus struct {
	name string
	text []byte
	// except are the kinds of secrets that may be here.
	except []string
}

// corpora are all that the service wrote, said and sent.
func (w *world) corpora(t *testing.T) []corpus {
	t.Helper()
	all := []corpus{
		{name: "the log", text: w.logs.Bytes()},
		{name: "the answers", text: w.said(t), except: []string{"misplaced secret"}}, // who sent it may see it in an error
		{name: "the addresses of requests to the provider", text: []byte(strings.Join(w.wire.requests(), "\n"))},
		{name: "the requests to the provider", text: w.wire.sentBodies(), except: []string{"access token", "refresh token", "authorization code", "PKCE verifier", "client secret"}},
		{name: "all tables", text: w.dump(t)},
	}
	if w.server != nil {
		all = append(all, corpus{name: "all of KV", text: w.kv(t)})
	}
	for _, path := range w.files(t) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, corpus{name: "the file " + path[strings.LastIndex(path, "/")+1:], text: text})
	}
	return all
}

// files are those of the databases: tables and pages that were deleted, logs included.
func (w *world) files(t *testing.T) []string {
	t.Helper()
	var bases []string
	if w.server == nil {
		bases = append(bases, w.vaultPath)
	}
	if w.DB.Dialect == dialect.SQLite {
		bases = append(bases, strings.TrimPrefix(w.URL, "sqlite://"))
	}
	var all []string
	for _, base := range bases {
		all = append(all, base)
		for _, suffix := range []string{"-wal", "-mark"} {
			if _, err := os.Stat(base + suffix); err == nil {
				all = append(all, base+suffix)
			}
		}
	}
	if len(all) < 2*len(bases) {
		t.Errorf("got the files %v, want each with its log", all)
	}
	return all
}

// kv is everything that Vault's KV tells of what it holds, every version; what rests there as base64 also as it is.
func (w *world) kv(t *testing.T) []byte {
	t.Helper()
	var b strings.Builder
	for path, text := range w.server.KV(t) {
		_, _ = fmt.Fprintf(&b, "%s\n%s\n", path, text)
		for _, word := range base64Word.FindAllString(text, -1) {
			if plain, err := base64.StdEncoding.DecodeString(word); err == nil {
				_, _ = fmt.Fprintf(&b, "%s\n", plain)
			}
		}
	}
	return []byte(b.String())
}

var base64Word = regexp.MustCompile(`[A-Za-z0-9+/]{20,}={0,2}`)

// dump is the content of all tables, bytes as they are.
func (w *world) dump(t *testing.T) []byte {
	t.Helper()
	var b strings.Builder
	for _, table := range w.tables(t) {
		for _, r := range w.rows(t, `SELECT * FROM "`+table+`"`) {
			_, _ = fmt.Fprintf(&b, "%s\n", table)
			for column := range r {
				_, _ = fmt.Fprintf(&b, "%s=%s\n", column, r.text(column))
			}
		}
	}
	return []byte(b.String())
}

// sentBodies are the bodies of all requests to the provider.
func (w *wire) sentBodies() []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	var b strings.Builder
	for _, body := range w.bodies {
		_, _ = b.Write(body)
		_ = b.WriteByte('\n')
	}
	return []byte(b.String())
}

// said are all answers without the values of the fields that hand a secret out, each taken away once.
func (w *world) said(t *testing.T) []byte {
	t.Helper()
	var b strings.Builder
	for _, e := range w.answers {
		_, _ = b.WriteString(withoutGiven(t, e.body) + "\n")
	}
	return []byte(b.String())
}

// given are the fields that hand a secret out.
type given struct {
	Data struct {
		Credential   struct{ AccessToken string }
		Credentials  []struct{ AccessToken string }
		CreateAPIKey struct{ Secret string }
		CreateTenant struct{ APIKey string }
	}
}

func withoutGiven(t *testing.T, exchange string) string {
	t.Helper()
	at := strings.Index(exchange, "{")
	var g given
	if at < 0 || json.Unmarshal([]byte(exchange[at:]), &g) != nil {
		return exchange
	}
	values := []string{g.Data.Credential.AccessToken, g.Data.CreateAPIKey.Secret, g.Data.CreateTenant.APIKey}
	for _, c := range g.Data.Credentials {
		values = append(values, c.AccessToken)
	}
	for _, v := range values {
		if v == "" {
			continue
		}
		quoted, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		exchange = strings.Replace(strings.Replace(exchange, v, "", 1), string(quoted[1:len(quoted)-1]), "", 1)
	}
	return exchange
}

// tellTale are the beginnings by which tokens, codes and keys are known, whoever made them.
var tellTale = regexp.MustCompile(`zsim_(at|rt|ac)_[A-Za-z0-9_-]{6,}|tko?_[A-Za-z0-9]{20,}`)

// check searches a text for all secrets, and for what looks like one.
func (c corpus) check(t *testing.T, h *hoard) {
	t.Helper()
	found := search(h.needles(c.except...), c.text)
	for _, f := range found[:min(len(found), 10)] {
		t.Errorf("in %s (one of %d): %s", c.name, len(found), f)
	}
	if len(c.except) > 0 {
		return
	}
	for _, at := range tellTale.FindAllIndex(c.text, 5) {
		from := max(0, at[0]-100)
		t.Errorf("in %s: something like a secret behind ...%s", c.name, strings.ToValidUTF8(string(c.text[from:at[0]]), "?"))
	}
}
