package zoomsim_test

import (
	"net/http"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/tokenkeep/tokenkeep/internal/zoomsim"
)

func TestMeShape(t *testing.T) {
	z := newZoom(t)
	tk := z.connect("Ada Lovelace")
	u, _ := z.User("Ada Lovelace")
	r := z.me(tk.Access)
	got := r.fields(t)
	for name, want := range map[string]any{
		"id": u.ID, "account_id": u.AccountID, "email": "ada.lovelace@example.com", "status": "active", "type": 2.0,
		"first_name": "Ada", "last_name": "Lovelace", "display_name": "Ada Lovelace", "created_at": "2026-11-01T12:00:00Z",
	} {
		if got[name] != want {
			t.Errorf("%s: got %v, want %v", name, got[name], want)
		}
	}
	for _, name := range []string{"account_number", "role_name", "role_id", "pmi", "use_pmi", "personal_meeting_url", "vanity_url",
		"timezone", "language", "dept", "user_created_at", "last_login_time", "last_client_version", "login_types", "verified",
		"pic_url", "phone_numbers", "group_ids", "im_group_ids", "division_ids", "jid", "job_title", "company", "location",
		"manager", "cost_center", "cms_user_id", "employee_unique_id", "custom_attributes", "plan_united_type",
		"license_info_list", "pronouns", "pronouns_option", "cluster", "zoom_one_type"} {
		if v, ok := got[name]; !ok || v == nil {
			t.Errorf("%s is missing", name)
		}
	}
	if r.status != 200 || r.header.Get("X-Zm-Trackingid") == "" {
		t.Errorf("got %d, headers %v", r.status, r.header)
	}
}

func TestMeTellsStatus(t *testing.T) {
	z := newZoom(t)
	tk := z.connect("ada")
	for _, status := range []zoomsim.UserStatus{zoomsim.UserInactive, zoomsim.UserPending, zoomsim.UserActive} {
		if _, err := z.PutUser(zoomsim.User{Email: "ada", Status: status}); err != nil {
			t.Fatal(err)
		}
		if got := z.me(tk.Access).fields(t)["status"]; got != string(status) {
			t.Errorf("status: got %v, want %v", got, status)
		}
	}
}

func TestMeRefusals(t *testing.T) {
	z := newZoom(t)
	tk := z.connect("ada")
	z.wantReply(z.get("/v2/users/me"), 401, `{"code":124,"message":"Invalid access token."}`)
	z.wantReply(z.me("nonsense"), 401, `{"code":124,"message":"Invalid access token."}`)
	z.wantReply(z.me(tk.Refresh), 401, `{"code":124,"message":"Invalid access token."}`)
	z.wantReply(z.get("/v2/users/me?access_token="+tk.Access), 401,
		`{"code":124,"message":"Invalid access token, this access token is not supported as query parameter string."}`)
	basic := func(r *http.Request) { r.SetBasicAuth(clientID, clientSecret) }
	z.wantReply(z.get("/v2/users/me", basic), 401, `{"code":124,"message":"Invalid access token."}`)
	z.advance(3599 * time.Second)
	z.wantReply(z.me(tk.Access), 401, `{"code":124,"message":"Access token is expired."}`)
}

func TestMeNeedsAScope(t *testing.T) {
	for _, tc := range []struct {
		scope string
		want  int
	}{
		{"user:read:user", 200}, {"user:read:user:admin", 200}, {"user:read:user:master", 200}, {"user:read", 200},
		{"user:read:admin", 200}, {"user:write", 200}, {"user:write:admin", 200}, {"user_profile", 200},
		{"user:read:token", 400}, {"meeting:read", 400},
	} {
		t.Run(tc.scope, func(t *testing.T) {
			z := newZoom(t)
			err := z.PutClient(zoomsim.Client{ID: clientID, Secret: clientSecret, RedirectURIs: []string{callback}, Scopes: []string{tc.scope}})
			if err != nil {
				t.Fatal(err)
			}
			r := z.me(z.connect("ada").Access)
			if r.status != tc.want {
				t.Errorf("got %d %s, want %d", r.status, r.body, tc.want)
			}
			if tc.want == 400 {
				z.wantReply(r, 400, `{"code":4711,"message":"Invalid access token, does not contain scopes:[user:read:user, user:read:user:admin]."}`)
			}
		})
	}
}

func TestRevoke(t *testing.T) {
	for _, by := range []string{"access", "refresh"} {
		t.Run("by "+by+" token", func(t *testing.T) {
			z := newZoom(t)
			if err := z.SetSwitches(zoomsim.Switches{ConsentKeepsEarlierGrants: true}); err != nil {
				t.Fatal(err)
			}
			sibling, tk, bystander := z.connect("ada"), z.connect("ada"), z.connect("bob")
			token := map[string]string{"access": tk.Access, "refresh": tk.Refresh}[by]
			z.wantReply(z.post("/oauth/revoke", url.Values{"token": {token}}), 200, `{"status":"success"}`)
			z.wantDead(tk.Refresh)
			z.wantDead(sibling.Refresh)
			z.wantReply(z.me(tk.Access), 401, `{"code":124,"message":"Invalid access token."}`)
			z.refresh(bystander.Refresh)
			l := z.Ledger()
			if l.Grants[0].EndedReason != zoomsim.EndedByRevoke || l.Totals.Revocations != 1 {
				t.Errorf("ledger: got %+v", l)
			}
		})
	}
}

func TestRevokeRefusals(t *testing.T) {
	z := newZoom(t)
	tk := z.connect("ada")
	revoke := func(token string, edit ...func(*http.Request)) reply {
		return z.post("/oauth/revoke", url.Values{"token": {token}}, edit...)
	}
	const dead = `{"reason":"Invalid Token!","error":"invalid_grant"}`
	z.wantReply(revoke("nonsense"), 400, dead)
	z.wantReply(revoke(""), 400, `{"reason":"Token cannot be empty.","error":"invalid_request"}`)
	z.wantReply(revoke(tk.Access, func(r *http.Request) { r.SetBasicAuth(otherID, otherSecret) }), 400, dead)
	z.wantReply(revoke(tk.Access, func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+tk.Access) }), 400,
		`{"reason":"Client ID or client secret is missing.","error":"invalid_client"}`)
	z.advance(time.Hour)
	z.wantReply(revoke(tk.Access), 400, dead)
	newer := z.connect("ada")
	z.wantReply(revoke(tk.Refresh), 400, dead)
	z.refresh(newer.Refresh) // a dead token of the same pair did not touch it
	if got := z.Ledger().Totals.Revocations; got != 0 {
		t.Errorf("revocations: got %d, want 0", got)
	}
}

func TestOtherMethodsAndPathsAreRefused(t *testing.T) {
	z := newZoom(t)
	got := []int{z.get("/oauth/token").status, z.get("/v2/users/abc").status, z.post("/v2/users/me", nil).status}
	if want := []int{405, 404, 405}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
