package zoomsim_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeep/tokenkeep/internal/zoomsim"
)

func TestControlIndexListsWhatIsServed(t *testing.T) {
	z := newZoom(t)
	var index struct {
		Endpoints []struct{ Method, Path, Does string }
	}
	if err := json.Unmarshal([]byte(z.control("GET", "/_sim/", "").body), &index); err != nil || len(index.Endpoints) != 14 {
		t.Fatalf("got %d endpoints, error %v", len(index.Endpoints), err)
	}
	for _, e := range index.Endpoints {
		path := strings.ReplaceAll(e.Path, "{id}", "x")
		if got := z.control(e.Method, path, "").status; got == 405 {
			t.Errorf("%s %s: got 405", e.Method, path)
		}
		if e.Does == "" {
			t.Errorf("%s %s says nothing of itself", e.Method, path)
		}
	}
}

func TestControlClients(t *testing.T) {
	z := newZoom(t)
	r := z.control("POST", "/_sim/clients", `{"client_id":"new","client_secret":"s3","redirect_uris":["https://new.test/cb"],"scopes":["user:read"]}`)
	if r.status != 200 || strings.Contains(r.body, "s3") {
		t.Fatalf("got %d %s", r.status, r.body)
	}
	z.control("POST", "/_sim/clients", `{"client_id":"new","name":"Renamed"}`)
	if _, _, err := zoomsim.Consent(t.Context(), nil, z.authorizeURL("client_id", "new", "redirect_uri", "https://new.test/cb")); err != nil {
		t.Error(err)
	}
	list := z.control("GET", "/_sim/clients", "").body
	if !strings.Contains(list, "Renamed") || strings.Contains(list, "secret") {
		t.Errorf("list: got %s", list)
	}
}

func TestControlUsers(t *testing.T) {
	z := newZoom(t)
	created := z.control("POST", "/_sim/users", `{"email":"ada@acme.test","display_name":"The Countess","status":"pending"}`).fields(t)
	id, _ := created["id"].(string)
	if len(id) != 22 || created["status"] != "pending" || created["display_name"] != "The Countess" {
		t.Errorf("created: got %v", created)
	}
	moved := z.control("POST", "/_sim/users", `{"id":"`+id+`","email":"countess@acme.test"}`).fields(t)
	if moved["id"] != id || moved["email"] != "countess@acme.test" || moved["display_name"] != "The Countess" {
		t.Errorf("with a new address: got %v", moved)
	}
	if _, ok := z.User("ada@acme.test"); ok {
		t.Error("the old address still names the user")
	}
	z.connect("countess@acme.test")
	if got := z.Ledger().Grants[0].UserID; got != id {
		t.Errorf("the grant's user: got %s, want %s", got, id)
	}
}

func TestControlSwitches(t *testing.T) {
	z := newZoom(t)
	z.control("PATCH", "/_sim/switches", `{"basic_only":true}`)
	r := z.control("PATCH", "/_sim/switches", `{"access_life_seconds":60}`)
	if got, want := z.Switches(), (zoomsim.Switches{BasicOnly: true, AccessLifeSeconds: 60}); r.status != 200 || got != want {
		t.Errorf("got %d, %+v, want %+v", r.status, got, want)
	}
	answer := z.post("/oauth/token", codeForm(z.consent("ada"))).fields(t)
	if answer["expires_in"] != 60.0 {
		t.Errorf("expires_in: got %v, want 60", answer["expires_in"])
	}
	access, _ := answer["access_token"].(string)
	z.advance(time.Minute)
	z.wantReply(z.me(access), 401, `{"code":124,"message":"Access token is expired."}`)
}

func TestControlEndsAndExpires(t *testing.T) {
	z := newZoom(t)
	ada, bob := z.connect("ada"), z.connect("bob")
	z.wantReply(z.control("POST", "/_sim/expire", `{"user":"ada","client":"app1"}`), 200, `{"expired":1}`)
	z.wantReply(z.me(ada.Access), 401, `{"code":124,"message":"Access token is expired."}`)
	ada = z.refresh(ada.Refresh)

	z.wantReply(z.control("POST", "/_sim/grants/grant-1/end", `{"reason":"app removed"}`), 200, `{"status":"success"}`)
	z.wantDead(ada.Refresh)
	z.wantReply(z.control("POST", "/_sim/grants/end", `{"client":"app1"}`), 200, `{"ended":1}`)
	z.wantDead(bob.Refresh)
	g := z.Ledger().Grants
	if g[0].EndedReason != "app removed" || g[1].EndedReason != zoomsim.EndedByControl {
		t.Errorf("reasons: got %q and %q", g[0].EndedReason, g[1].EndedReason)
	}
}

func TestControlFaults(t *testing.T) {
	z := newZoom(t)
	tk := z.connect("ada")
	z.wantReply(z.control("POST", "/_sim/faults", `{"endpoint":"me","status":500,"count":1}`), 200, `{"id":"fault-1"}`)
	if got := z.me(tk.Access).status; got != 500 {
		t.Errorf("got %d, want 500", got)
	}
	z.wantReply(z.control("GET", "/_sim/faults", ""), 200, `{"faults":[{"id":"fault-1","taken":1,"endpoint":"me","count":1,"status":500}]}`)
	z.wantReply(z.control("DELETE", "/_sim/faults/fault-1", ""), 200, `{"status":"success"}`)
	z.control("POST", "/_sim/faults", `{"endpoint":"me","drop":true}`)
	z.wantReply(z.control("DELETE", "/_sim/faults", ""), 200, `{"status":"success"}`)
	if got := z.me(tk.Access).status; got != 200 {
		t.Errorf("after removal: got %d, want 200", got)
	}
}

func TestControlErrors(t *testing.T) {
	z := newZoom(t)
	for _, tc := range []struct {
		name, method, path, body string
		status                   int
		want                     string
	}{
		{"not JSON", "POST", "/_sim/users", `{`, 400, "reading the JSON body"},
		{"unknown member", "PATCH", "/_sim/switches", `{"basic":true}`, 400, `unknown field \"basic\"`},
		{"negative life", "PATCH", "/_sim/switches", `{"access_life_seconds":-1}`, 400, "negative"},
		{"client without secret", "POST", "/_sim/clients", `{"client_id":"x"}`, 400, "needs client_id and client_secret"},
		{"relative redirect", "POST", "/_sim/clients", `{"client_id":"app1","redirect_uris":["/cb"]}`, 400, "must be absolute"},
		{"two scopes in one", "POST", "/_sim/clients", `{"client_id":"app1","scopes":["a b"]}`, 400, "white space"},
		{"unknown status", "POST", "/_sim/users", `{"email":"ada","status":"gone"}`, 400, "use active, inactive or pending"},
		{"unknown user id", "POST", "/_sim/users", `{"id":"x"}`, 404, "not found: user"},
		{"unknown grant", "POST", "/_sim/grants/x/end", ``, 404, "not found: grant"},
		{"unknown user", "POST", "/_sim/expire", `{"user":"x"}`, 404, "not found: user"},
		{"unknown client", "POST", "/_sim/expire", `{"client":"x"}`, 404, "not found: client"},
		{"unknown fault", "DELETE", "/_sim/faults/x", ``, 404, "not found: fault"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if r := z.control(tc.method, tc.path, tc.body); r.status != tc.status || !strings.Contains(r.body, tc.want) {
				t.Errorf("got %d %s, want %d with %q", r.status, r.body, tc.status, tc.want)
			}
		})
	}
}

func TestBaseURLDefaultsToTheRequest(t *testing.T) {
	z := newZoom(t)
	z.SetBaseURL("")
	if got := z.post("/oauth/token", codeForm(z.consent("ada"))).fields(t)["api_url"]; got != z.url {
		t.Errorf("api_url: got %v, want %v", got, z.url)
	}
}

func TestLogsCarryNoSecrets(t *testing.T) {
	var log bytes.Buffer
	sim := zoomsim.New(zoomsim.Options{
		Clients: []zoomsim.Client{{ID: clientID, Secret: clientSecret, RedirectURIs: []string{callback}, Scopes: []string{"user:read"}}},
		Logger:  slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	ts := httptest.NewServer(sim)
	z := &zoom{Server: sim, t: t, url: ts.URL}
	tk := z.refresh(z.connect("ada").Refresh)
	z.me(tk.Access)
	z.wantDead("zsim_rt_nonsense")
	ts.Close()
	if !strings.Contains(log.String(), "endpoint=token client_id=app1 grant_type=refresh_token status=200") {
		t.Errorf("log: got %s", log.String())
	}
	if strings.Contains(log.String(), "zsim_") || strings.Contains(log.String(), clientSecret) {
		t.Errorf("the log carries a secret: %s", log.String())
	}
}
