package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenkeep/tokenkeep/internal/zoomsim"
)

// devRun is a "tokenkeep dev" in this process, from its first line to its exit code.
type devRun struct {
	t      *testing.T
	info   devInfo
	log    *journal
	cancel context.CancelFunc
	code   chan int
	rest   chan string
}

// journal is what was written to standard error.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(b)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// runDev starts dev at free ports and logs all there is.
func runDev(t *testing.T, data string) *devRun {
	t.Helper()
	d := &devRun{t: t, log: &journal{}, code: make(chan int, 1), rest: make(chan string, 1)}
	var stop context.Context
	stop, d.cancel = context.WithCancel(t.Context())
	read, write := io.Pipe()
	args := []string{"dev", "--json", "--data", data, "--listen", "127.0.0.1:0", "--zoom-listen", "127.0.0.1:0", "--log-level", "debug"}
	go func() {
		code := run(args, signals{stop: stop, force: context.Background()}, &terminal{in: strings.NewReader(""), out: write, err: d.log}, nil)
		write.Close()
		d.code <- code
	}()
	out := json.NewDecoder(read)
	if err := out.Decode(&d.info); err != nil {
		t.Fatalf("reading dev's line: %v; it says %s", err, d.log)
	}
	go func() {
		rest, _ := io.ReadAll(io.MultiReader(out.Buffered(), read))
		d.rest <- strings.TrimSpace(string(rest))
	}()
	return d
}

// stop is Ctrl-C.
func (d *devRun) stop() {
	d.t.Helper()
	d.cancel()
	if code := <-d.code; code != exitDone {
		d.t.Errorf("got exit code %d, want %d; it says %s", code, exitDone, d.log)
	}
	if rest := <-d.rest; rest != "" {
		d.t.Errorf("got %q on standard output beside the line", rest)
	}
}

// query sends a query with variables and decodes its data into v.
func (d *devRun) query(v any, query string, variables map[string]any) {
	d.t.Helper()
	body, err := json.Marshal(map[string]any{"query": query, "variables": variables})
	if err != nil {
		d.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(d.t.Context(), http.MethodPost, d.info.GraphQL, bytes.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+d.info.APIKey)
	var answer struct {
		Data   json.RawMessage
		Errors []json.RawMessage
	}
	d.fetch(&answer, req)
	if len(answer.Errors) > 0 {
		d.t.Fatalf("%s: got the errors %s", query, answer.Errors)
	}
	if err := json.Unmarshal(answer.Data, v); err != nil {
		d.t.Fatalf("%s: %v in %s", query, err, answer.Data)
	}
}

// get decodes the JSON at an address.
func (d *devRun) get(v any, url string) {
	d.t.Helper()
	req, err := http.NewRequestWithContext(d.t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		d.t.Fatal(err)
	}
	d.fetch(v, req)
}

func (d *devRun) fetch(v any, req *http.Request) {
	d.t.Helper()
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		d.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		d.t.Fatalf("%s: got %s %s (%v)", req.URL, res.Status, body, err)
	}
	if err := json.Unmarshal(body, v); err != nil {
		d.t.Fatalf("%s: %v in %s", req.URL, err, body)
	}
}

// consent lets the user allow the demo app and returns the code and the redirect URI that it came to.
func (d *devRun) consent(user string) (code, redirectURI string) {
	d.t.Helper()
	var config struct{ Values map[string]string }
	d.get(&config, d.info.Playground+"/config.json")
	code, _, err := zoomsim.Consent(d.t.Context(), nil, config.Values["consentUrl"]+"&login_hint="+user)
	if err != nil {
		d.t.Fatal(err)
	}
	return code, config.Values["redirectUri"]
}

// connect makes a connection of the user, or renews it.
func (d *devRun) connect(user string) (connection, code string, created bool) {
	d.t.Helper()
	code, redirectURI := d.consent(user)
	var made struct {
		CreateConnection struct {
			Created    bool
			Connection struct{ ID, State, ExternalEmail string }
		}
	}
	d.query(&made, `mutation ($in: CreateConnectionInput!) { createConnection(input: $in) { created connection { id state externalEmail } } }`,
		map[string]any{"in": map[string]any{
			"grant":    map[string]any{"authorizationCode": map[string]string{"code": code, "redirectUri": redirectURI}},
			"metadata": map[string]string{"workspace": "ws_1", "user": user},
		}})
	c := made.CreateConnection.Connection
	if c.State != "CONNECTED" || c.ExternalEmail != user {
		d.t.Fatalf("got %+v, want a connection of %s", made, user)
	}
	return c.ID, code, made.CreateConnection.Created
}

// find returns the ids of the connections that carry the metadata.
func (d *devRun) find(metadata map[string]string) []string {
	d.t.Helper()
	var found struct {
		Connections struct{ Nodes []struct{ ID string } }
	}
	d.query(&found, `query ($m: Metadata) { connections(filter: {metadata: $m}) { nodes { id } } }`, map[string]any{"m": metadata})
	var ids []string
	for _, n := range found.Connections.Nodes {
		ids = append(ids, n.ID)
	}
	return ids
}

// credential returns a token of the version that is expected and sees to it that the emulator takes it.
func (d *devRun) credential(connection string, version int, email string) string {
	d.t.Helper()
	var got struct {
		Credential struct {
			Typename    string `json:"__typename"`
			Version     int
			AccessToken string
		}
	}
	d.query(&got, `query ($c: ID!) { credential(of: {connection: $c}) { __typename ... on Credential { version accessToken } } }`,
		map[string]any{"c": connection})
	if got.Credential.Typename != "Credential" || got.Credential.Version != version {
		d.t.Fatalf("got a %s of version %d, want a Credential of version %d", got.Credential.Typename, got.Credential.Version, version)
	}
	req, err := http.NewRequestWithContext(d.t.Context(), http.MethodGet, d.info.Zoom+"/v2/users/me", http.NoBody)
	if err != nil {
		d.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+got.Credential.AccessToken)
	var me struct{ Email string }
	if d.fetch(&me, req); me.Email != email {
		d.t.Errorf("the token is of %q, want %q", me.Email, email)
	}
	return got.Credential.AccessToken
}

// refresh refreshes now and returns the version that came of it.
func (d *devRun) refresh(connection string) int {
	d.t.Helper()
	var got struct {
		RefreshConnection struct {
			Connection struct {
				CredentialVersion int
				Failure           *struct{ Message string }
			}
		}
	}
	d.query(&got, `mutation ($c: ID!) { refreshConnection(id: $c) { connection { credentialVersion failure { message } } } }`, map[string]any{"c": connection})
	if f := got.RefreshConnection.Connection.Failure; f != nil {
		d.t.Errorf("got the failure %q, want none", f.Message)
	}
	return got.RefreshConnection.Connection.CredentialVersion
}

// ask sends a refresh whose answer is nobody's concern: the caller may be cut off before it comes.
func (d *devRun) ask(connection string) {
	body := strings.NewReader(`{"query":"mutation { refreshConnection(id: \"` + connection + `\") { connection { id } } }"}`)
	req, err := http.NewRequest(http.MethodPost, d.info.GraphQL, body)
	if err != nil {
		panic(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+d.info.APIKey)
	if res, err := http.DefaultTransport.RoundTrip(req); err == nil {
		res.Body.Close()
	}
}

// ledger is what the emulator knows of the grants.
func (d *devRun) ledger() []zoomsim.LedgerGrant {
	d.t.Helper()
	var l zoomsim.Ledger
	d.get(&l, d.info.Zoom+"/_sim/ledger")
	return l.Grants
}

// TestDevFromConsentToDeletion is the whole life of a connection, over HTTP, with a restart in the middle of it.
func TestDevFromConsentToDeletion(t *testing.T) {
	const ada, grace = "ada@acme.test", "grace@acme.test"
	data := filepath.Join(t.TempDir(), "data")
	d := runDev(t, data)
	connection, code, created := d.connect(ada)
	if !created {
		t.Error("a first connection was not created")
	}
	other, _, _ := d.connect(grace)
	if got := d.find(map[string]string{"workspace": "ws_1", "user": ada}); len(got) != 1 || got[0] != connection {
		t.Errorf("got %v by metadata, want %s", got, connection)
	}
	if got := d.find(map[string]string{"workspace": "ws_1"}); len(got) != 2 {
		t.Errorf("got %v by shared metadata, want both", got)
	}
	secrets := []string{code, d.credential(connection, 1, ada)}
	if got := d.refresh(connection); got != 2 {
		t.Errorf("got version %d after a refresh, want 2", got)
	}
	secrets = append(secrets, d.credential(connection, 2, ada))
	before := d.info
	d.stop()
	firstLog := d.log.String()

	d = runDev(t, data)
	if d.info.APIKey != before.APIKey || d.info.App != before.App || d.info.Tenant != before.Tenant || d.info.OperatorKey != before.OperatorKey {
		t.Errorf("got %+v at the second start, want the keys, the app and the tenant of %+v", d.info, before)
	}
	if got := d.find(map[string]string{"user": ada}); len(got) != 1 || got[0] != connection {
		t.Errorf("got %v after a restart, want %s", got, connection)
	}
	secrets = append(secrets, d.credential(connection, 2, ada))
	if got := d.refresh(connection); got != 3 {
		t.Errorf("got version %d after a restart and a refresh, want 3", got)
	}
	last := d.credential(connection, 3, ada)
	if l := d.ledger()[0]; l.Status != zoomsim.GrantLive || l.Generation != 3 || l.AccessTokenSHA256 != hexSHA256(last) {
		t.Errorf("the emulator's ledger has %+v, want a live grant of generation 3 with our token", l)
	}
	renewed, _, created := d.connect(ada)
	if renewed != connection || created {
		t.Errorf("got %s, created: %t, for a second consent, want %s renewed", renewed, created, connection)
	}
	d.deleteAndRevoke(connection, ada)
	d.credential(other, 1, grace)
	d.stop()

	secrets = append(secrets, last, before.APIKey, before.OperatorKey, "zsim_at_", "zsim_rt_", "zsim_ac_")
	for _, text := range secrets {
		if strings.Contains(firstLog, text) || strings.Contains(d.log.String(), text) {
			t.Errorf("%.12s... is in the log", text)
		}
		for _, file := range filesWith(t, data, text) {
			if name := filepath.Base(file); name != "demo.json" && name != "operator.key" {
				t.Errorf("%.12s... is in %s", text, name)
			}
		}
	}
}

// deleteAndRevoke deletes a connection, and waits until the provider has heard of it.
func (d *devRun) deleteAndRevoke(connection, email string) {
	d.t.Helper()
	var deleted struct{ DeleteConnection struct{ DeletedID string } }
	d.query(&deleted, `mutation ($c: ID!) { deleteConnection(id: $c) { deletedId } }`, map[string]any{"c": connection})
	if deleted.DeleteConnection.DeletedID != connection {
		d.t.Errorf("got %+v, want %s deleted", deleted, connection)
	}
	if got := d.find(map[string]string{"user": email}); len(got) != 0 {
		d.t.Errorf("got %v after the deletion, want none", got)
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(20 * time.Second)
	for {
		live := 0
		for _, g := range d.ledger() {
			if g.Email == email && g.Status == zoomsim.GrantLive {
				live++
			}
		}
		if live == 0 {
			return
		}
		select {
		case <-tick.C:
		case <-limit:
			d.t.Fatal("the grant lives on at the provider")
		}
	}
}

func hexSHA256(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// filesWith returns the files below a folder that hold the text.
func filesWith(t *testing.T, folder, text string) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if bytes.Contains(content, []byte(text)) {
			found = append(found, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
