package zoom_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeep/tokenkeep/internal/secret"
	"github.com/tokenkeep/tokenkeep/internal/zoom"
)

var now = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

const token = "Sup3rSecretAcce55"

func me(t *testing.T, h http.HandlerFunc, o zoom.Options) (zoom.User, error) {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	o.Transport = ownTransport(o.Transport)
	return zoom.New(o).Me(t.Context(), s.URL+"/", secret.New(token))
}

// ownTransport keeps the idle connections of one test out of the next.
func ownTransport(rt http.RoundTripper) http.RoundTripper {
	if rt == nil {
		return &http.Transport{}
	}
	return rt
}

func reply(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func TestMe(t *testing.T) {
	u, err := me(t, func(w http.ResponseWriter, r *http.Request) {
		if got, want := r.Method+" "+r.URL.String()+" "+r.Header.Get("Authorization"), "GET /v2/users/me Bearer "+token; got != want {
			t.Errorf("got request %q, want %q", got, want)
		}
		_, _ = io.WriteString(w, `{"id":"KDcuGIm1QgePTO8WbOqwIQ","account_id":"acc","email":"ann@example.com","display_name":"Ann B","first_name":"Ann","last_name":"B","type":2,"status":"active"}`)
	}, zoom.Options{})
	want := zoom.User{ID: "KDcuGIm1QgePTO8WbOqwIQ", AccountID: "acc", Email: "ann@example.com", DisplayName: "Ann B", Status: "active"}
	if err != nil || u != want {
		t.Errorf("got %+v, %v; want %+v", u, err, want)
	}
}

func TestMeOptionalFields(t *testing.T) {
	u, err := me(t, reply(200, `{"id":"u","first_name":"Ann","last_name":""}`), zoom.Options{})
	if err != nil || u.DisplayName != "Ann" || !u.Active() {
		t.Errorf("got %+v, %v", u, err)
	}
}

func TestMeInactive(t *testing.T) {
	for _, status := range []string{"inactive", "pending"} {
		u, err := me(t, reply(200, `{"id":"u","status":"`+status+`"}`), zoom.Options{})
		if zoom.KindOf(err) != zoom.KindInactive || u.ID != "u" || u.Active() {
			t.Errorf("%s: got %+v, %v", status, u, err)
		}
	}
}

func TestMeErrors(t *testing.T) {
	for _, tc := range []struct {
		name string
		h    http.HandlerFunc
		want zoom.Kind
	}{
		{"unreadable", reply(200, `<html>`), zoom.KindUnavailable},
		{"nobody", reply(200, `{}`), zoom.KindUnavailable},
		{"redirect", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) }, zoom.KindUnavailable},
		{"outage", reply(502, `<html>`), zoom.KindUnavailable},
		{"unauthorized", reply(401, `{"code":124,"message":"Invalid access token."}`), zoom.KindUnauthorized},
		{"cut", func(w http.ResponseWriter, _ *http.Request) {
			conn, _, _ := w.(http.Hijacker).Hijack()
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nbad header "+token+"\r\n\r\n")
			_ = conn.Close()
		}, zoom.KindUnavailable},
		{"cut in the body", func(w http.ResponseWriter, _ *http.Request) {
			conn, _, _ := w.(http.Hijacker).Hijack()
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{\"id\":\"u\"}")
			_ = conn.Close()
		}, zoom.KindUnavailable},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := me(t, tc.h, zoom.Options{})
			if got := zoom.KindOf(err); got != tc.want {
				t.Errorf("got %v, want %s", err, tc.want)
			}
			if err != nil && strings.Contains(err.Error(), token) {
				t.Errorf("the token is in the error: %v", err)
			}
		})
	}
}

func TestMeTimeout(t *testing.T) {
	hang := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	_, err := me(t, hang, zoom.Options{Timeout: 20 * time.Millisecond})
	if zoom.KindOf(err) != zoom.KindUnavailable || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want %s by %v", err, zoom.KindUnavailable, context.DeadlineExceeded)
	}
}

func TestMeWithoutAddress(t *testing.T) {
	_, err := zoom.New(zoom.Options{}).Me(t.Context(), "", secret.New(token))
	if got := zoom.KindOf(err); got != zoom.KindRejected {
		t.Errorf("got %v, want %s", err, zoom.KindRejected)
	}
}

func TestClassify(t *testing.T) {
	for _, tc := range []struct {
		name   string
		status int
		body   string
		want   zoom.Kind
		code   int
		scopes []string
	}{
		{"scopes, 400", 400, `{"code":4711,"message":"Invalid access token, does not contain scopes:[user:read:token, user:read:token:admin]."}`,
			zoom.KindScopeMissing, 4711, []string{"user:read:token", "user:read:token:admin"}},
		{"scopes, 401", 401, `{"code":4711,"message":"Invalid access token, does not contain scopes:[user:read:user,user:read:user:admin]"}`,
			zoom.KindScopeMissing, 4711, []string{"user:read:user", "user:read:user:admin"}},
		{"scopes, 201", 403, `{"code":201,"message":"Invalid access token, does not contain scopes:[marketplace:write:app:master]."}`,
			zoom.KindScopeMissing, 201, []string{"marketplace:write:app:master"}},
		{"scopes without a list", 401, `{"code":4700,"message":"Invalid access token, does not contain scopes."}`, zoom.KindScopeMissing, 4700, nil},
		{"scopes, list not closed", 400, `{"code":4711,"message":"does not contain scopes:[a, b"}`, zoom.KindScopeMissing, 4711, nil},
		{"scopes with rubbish", 400, `{"code":4711,"message":"does not contain scopes:[a<b>, user:read, ]"}`, zoom.KindScopeMissing, 4711, []string{"user:read"}},
		{"invalid token", 401, `{"code":124,"message":"Invalid access token."}`, zoom.KindUnauthorized, 124, nil},
		{"expired token", 401, `{"code":124,"message":"Access token is expired."}`, zoom.KindUnauthorized, 124, nil},
		{"other field names", 401, `{"status":false,"errorCode":401}`, zoom.KindUnauthorized, 401, nil},
		{"other field names, text", 400, `{"errorCode":"4,711","errorMessage":"does not contain scopes:[user:read]"}`, zoom.KindScopeMissing, 4711, []string{"user:read"}},
		{"OAuth only", 400, `{"code":124,"message":"This API only supports OAuth2 authorization."}`, zoom.KindRejected, 124, nil},
		{"no permission", 400, `{"code":200,"message":"No permission."}`, zoom.KindRejected, 200, nil},
		{"unknown user", 404, `{"code":1001,"message":"User does not exist: me"}`, zoom.KindInactive, 1001, nil},
		{"other account", 400, `{"code":1010,"message":"User does not belong to this account: x."}`, zoom.KindInactive, 1010, nil},
		{"shared access", 403, `{"code":3001,"message":"Authenticated user has not permitted access to the targeted resource."}`, zoom.KindRejected, 3001, nil},
		{"limit", 429, `{"code":429,"message":"You have reached the maximum per-second rate limit for this API. Try again later."}`, zoom.KindUnavailable, 429, nil},
		{"outage", 500, ``, zoom.KindUnavailable, 0, nil},
		{"outage that names scopes", 503, `{"code":4711,"message":"does not contain scopes:[a]"}`, zoom.KindUnavailable, 4711, nil},
		{"firewall", 403, `<html>`, zoom.KindUnavailable, 0, nil},
		{"odd code", 400, `{"code":1.5,"message":"x"}`, zoom.KindRejected, 0, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			e := zoom.Classify(tc.status, http.Header{"X-Zm-Trackingid": {"WEB_1-a"}}, []byte(tc.body), now)
			if e.Kind != tc.want || e.Code != tc.code || !slices.Equal(e.Scopes, tc.scopes) || e.Status != tc.status {
				t.Errorf("got %+v, want %s %d %v", e, tc.want, tc.code, tc.scopes)
			}
			if e.Message == "" || e.TrackingID != "WEB_1-a" {
				t.Errorf("got message %q, tracking id %q", e.Message, e.TrackingID)
			}
		})
	}
}

func TestClassifyRetryAfter(t *testing.T) {
	for _, tc := range []struct {
		name   string
		header http.Header
		want   time.Duration
	}{
		{"absurd", http.Header{"Retry-After": {"99999999999999"}}, 24 * time.Hour},
		{"negative", http.Header{"Retry-After": {"-5"}}, 0},
		{"seconds", http.Header{"Retry-After": {"5"}}, 5 * time.Second},
		{"HTTP date", http.Header{"Retry-After": {"Sat, 21 Nov 2026 12:00:30 GMT"}}, 30 * time.Second},
		{"daily limit", http.Header{"Retry-After": {"2026-11-21T13:00:00Z"}}, time.Hour},
		{"by the answer's clock", http.Header{"Retry-After": {"2026-11-21T13:00:00Z"}, "Date": {"Sat, 21 Nov 2026 12:59:00 GMT"}}, time.Minute},
		{"per-second limit", http.Header{"X-Ratelimit-Reset": {"1795262402"}}, 2 * time.Second},
		{"past", http.Header{"Retry-After": {"2026-11-20T13:00:00Z"}}, 0},
		{"far", http.Header{"Retry-After": {"2036-11-20T13:00:00Z"}}, 24 * time.Hour},
		{"none", http.Header{}, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := zoom.Classify(429, tc.header, nil, now).RetryAfter; got != tc.want {
				t.Errorf("got %v, want %v", got, tc.want)
			}
		})
	}
}

func FuzzClassify(f *testing.F) {
	f.Add(400, []byte(`{"code":4711,"message":"Invalid access token, does not contain scopes:[a, b]."}`))
	f.Add(401, []byte(`{"errorCode":"401"}`))
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		e := zoom.Classify(status, http.Header{}, body, now)
		if e.Kind == "" || e.Message == "" || slices.Contains(e.Scopes, "") {
			t.Errorf("got %+v", e)
		}
	})
}
