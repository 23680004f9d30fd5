package oauth_test

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/tokenkeep/tokenkeep/internal/oauth"
	"github.com/tokenkeep/tokenkeep/internal/provider"
	"github.com/tokenkeep/tokenkeep/internal/secret"
)

const (
	theCode    = "Sup3rSecretC0de_abcdefghijklmnopq"
	theRefresh = "Sup3rSecretRefreshT0ken"
	theSecret  = "s3cret/with:odd characters"
)

// serve starts a provider whose every endpoint is h and returns a client's app there.
func serve(t *testing.T, h http.HandlerFunc) oauth.App {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return oauth.App{Provider: provider.Zoom().AtBase(s.URL, s.URL), ClientID: "client id", ClientSecret: secret.New(theSecret)}
}

func newClient(o oauth.Options) *oauth.Client {
	if o.Transport == nil {
		o.Transport = &http.Transport{}
	}
	return oauth.New(o)
}

func answer(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}

func code() oauth.Code {
	return oauth.Code{Code: secret.New(theCode), RedirectURI: "https://app.example/cb", Verifier: secret.New("verifier")}
}

func TestExchangeSendsTheCodeOnce(t *testing.T) {
	var calls atomic.Int32
	var form url.Values
	var id, pass string
	app := serve(t, func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		id, pass, _ = r.BasicAuth()
		_ = r.ParseForm()
		form = r.PostForm
		if r.URL.RawQuery != "" || r.URL.Path != "/oauth/token" || r.Header.Get("Accept") != "application/json" {
			t.Errorf("got request %s with Accept %q", r.URL, r.Header.Get("Accept"))
		}
		answer(w, 400, `{"error":"invalid_client"}`)
	})
	_, err := newClient(oauth.Options{}).Exchange(t.Context(), app, code())
	if got, want := oauth.OutcomeOf(err), oauth.AppMisconfigured; got != want {
		t.Errorf("outcome = %s, want %s", got, want)
	}
	if got := calls.Load(); got != 1 {
		t.Errorf("the code was sent %d times, want once", got)
	}
	if id != "client+id" || pass != url.QueryEscape(theSecret) {
		t.Errorf("basic credentials = %q %q, want them form-urlencoded", id, pass)
	}
	want := url.Values{"grant_type": {"authorization_code"}, "code": {theCode}, "redirect_uri": {"https://app.example/cb"}, "code_verifier": {"verifier"}}
	if form.Encode() != want.Encode() {
		t.Errorf("form = %v, want %v", form, want)
	}
}

func TestRefreshClientAuthentication(t *testing.T) {
	for _, tc := range []struct {
		name   string
		style  oauth2.AuthStyle
		secret string
		basic  bool
		form   url.Values
	}{
		{"header", oauth2.AuthStyleInHeader, "s", true, url.Values{}},
		{"params", oauth2.AuthStyleInParams, "s", false, url.Values{"client_id": {"client id"}, "client_secret": {"s"}}},
		{"public client", oauth2.AuthStyleInHeader, "", false, url.Values{"client_id": {"client id"}}},
		{"public client, params", oauth2.AuthStyleInParams, "", false, url.Values{"client_id": {"client id"}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			app := serve(t, func(w http.ResponseWriter, r *http.Request) {
				_, _, basic := r.BasicAuth()
				_ = r.ParseForm()
				tc.form.Set("grant_type", "refresh_token")
				tc.form.Set("refresh_token", theRefresh)
				if basic != tc.basic || r.PostForm.Encode() != tc.form.Encode() {
					t.Errorf("basic %v, form %v; want %v, %v", basic, r.PostForm, tc.basic, tc.form)
				}
				answer(w, 200, `{"access_token":"a2","refresh_token":"r2"}`)
			})
			app.Provider.AuthStyle, app.ClientSecret = tc.style, secret.New(tc.secret)
			set, err := newClient(oauth.Options{}).Refresh(t.Context(), app, secret.New(theRefresh))
			if err != nil || set.AccessToken.Reveal() != "a2" || set.RefreshToken.Reveal() != "r2" {
				t.Errorf("got %+v, %v", set, err)
			}
		})
	}
}

// TestRefreshOutcomeOnTheWire has the ways in which a connection can fail, before and after the request went out.
func TestRefreshOutcomeOnTheWire(t *testing.T) {
	hang := func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	}
	cut := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			conn, _, _ := w.(http.Hijacker).Hijack()
			_, _ = io.WriteString(conn, text)
			_ = conn.Close()
		}
	}
	ok := func(w http.ResponseWriter, r *http.Request) {
		answer(w, 200, `{"access_token":"`+strings.Repeat("a", 2000)+`"}`)
	}
	elsewhere := func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
	}
	noDial := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}}
	refused := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Err: errors.New("connection refused")}
	}}
	noName := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "provider.invalid", IsNotFound: true}}
	}}
	noProxy := &http.Transport{Proxy: http.ProxyURL(&url.URL{Scheme: "http", Host: "127.0.0.1:1"})}
	untraced := roundTrip(func(*http.Request) (*http.Response, error) { return nil, errors.New("broken") })
	for _, tc := range []struct {
		name   string
		handle http.HandlerFunc
		o      oauth.Options
		want   oauth.Outcome
		reason oauth.Reason
	}{
		{"connection refused", ok, oauth.Options{Transport: refused}, oauth.Unsent, oauth.ReasonNetwork},
		{"a name that does not resolve", ok, oauth.Options{Transport: noName}, oauth.Unsent, oauth.ReasonNetwork},
		{"a proxy that is away", ok, oauth.Options{Transport: noProxy}, oauth.Unsent, oauth.ReasonNetwork},
		{"no connection in time", ok, oauth.Options{Transport: noDial, Timeout: time.Millisecond}, oauth.Unsent, oauth.ReasonNetwork},
		{"a transport that tells nothing", ok, oauth.Options{Transport: untraced}, oauth.Unknown, oauth.ReasonNetwork},
		{"no answer in time", hang, oauth.Options{Timeout: 50 * time.Millisecond}, oauth.Unknown, oauth.ReasonNetwork},
		{"cut without an answer", cut(""), oauth.Options{}, oauth.Unknown, oauth.ReasonNetwork},
		{"not HTTP", cut("hello " + theRefresh + "\r\n\r\n"), oauth.Options{}, oauth.Unknown, oauth.ReasonNetwork},
		{"cut in the headers", cut("HTTP/1.1 200 OK\r\nContent-Le"), oauth.Options{}, oauth.Unknown, oauth.ReasonNetwork},
		{"cut in the body", cut("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{\"access_token\":\"a\"}"), oauth.Options{}, oauth.Unknown, oauth.ReasonNetwork},
		{"cut in a refusal", cut("HTTP/1.1 400 Bad\r\nContent-Length: 99\r\n\r\n{\"error\":\"invalid_grant\"}"), oauth.Options{}, oauth.Unavailable, oauth.ReasonNetwork},
		{"too long", ok, oauth.Options{MaxBody: 1000}, oauth.Unknown, oauth.ReasonNetwork},
		{"redirect", elsewhere, oauth.Options{}, oauth.Unavailable, oauth.ReasonProviderError},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var calls atomic.Int32
			app := serve(t, func(w http.ResponseWriter, r *http.Request) { calls.Add(1); tc.handle(w, r) })
			_, err := newClient(tc.o).Refresh(t.Context(), app, secret.New(theRefresh))
			var e *oauth.Error
			if !errors.As(err, &e) || e.Outcome != tc.want || e.Reason != tc.reason {
				t.Fatalf("got %v, want %s %s", err, tc.want, tc.reason)
			}
			if calls.Load() > 1 {
				t.Errorf("sent %d times, want once at most", calls.Load())
			}
			if strings.Contains(err.Error(), theRefresh) {
				t.Errorf("the token is in the error: %v", err)
			}
		})
	}
}

// TestRefreshOfAnAnswerCutOff: the connection breaks behind both tokens, or the answer goes on and on.
func TestRefreshOfAnAnswerCutOff(t *testing.T) {
	const tokens = `{"access_token":"a2","refresh_token":"r2","expires_in":3600`
	for name, handle := range map[string]http.HandlerFunc{
		"cut": func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			conn, _, _ := w.(http.Hijacker).Hijack()
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n"+tokens)
			_ = conn.Close()
		},
		"endless": func(w http.ResponseWriter, _ *http.Request) {
			answer(w, 200, tokens+`,"more":"`+strings.Repeat("m", 4000)+`"}`)
		},
		"stuck": func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			w.Header().Set("Content-Length", "999")
			_, _ = io.WriteString(w, tokens)
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		},
	} {
		t.Run(name, func(t *testing.T) {
			app := serve(t, handle)
			set, err := newClient(oauth.Options{MaxBody: 1000, Timeout: 500 * time.Millisecond}).Refresh(t.Context(), app, secret.New(theRefresh))
			if err != nil || set.AccessToken.Reveal() != "a2" || set.RefreshToken.Reveal() != "r2" {
				t.Errorf("got %+v, %v", set, err)
			}
		})
	}
}

// TestUnsentInTheHandshake: the server goes away before TLS stands.
func TestUnsentInTheHandshake(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Read(make([]byte, 1)) // some of the ClientHello
			_ = conn.Close()
		}
	}()
	base := "https://" + listener.Addr().String()
	_, err = newClient(oauth.Options{}).Refresh(t.Context(), oauth.App{Provider: provider.Zoom().AtBase(base, base), ClientID: "c"}, secret.New(theRefresh))
	if got := oauth.OutcomeOf(err); got != oauth.Unsent {
		t.Errorf("got %v, want %s", err, oauth.Unsent)
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestUnsent(t *testing.T) {
	t.Run("context ended before", func(t *testing.T) {
		app := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("a request was sent") })
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := newClient(oauth.Options{}).Refresh(ctx, app, secret.New(theRefresh))
		if oauth.OutcomeOf(err) != oauth.Unsent || !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want %s by %v", err, oauth.Unsent, context.Canceled)
		}
	})
	t.Run("certificate of nobody", func(t *testing.T) {
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a request was sent") }))
		s.Config.ErrorLog = log.New(io.Discard, "", 0)
		s.StartTLS()
		t.Cleanup(s.Close)
		app := oauth.App{Provider: provider.Zoom().AtBase(s.URL, s.URL), ClientID: "c"}
		_, err := newClient(oauth.Options{}).Refresh(t.Context(), app, secret.New(theRefresh))
		if got := oauth.OutcomeOf(err); got != oauth.Unsent {
			t.Errorf("got %v, want %s", err, oauth.Unsent)
		}
	})
	t.Run("nothing to send", func(t *testing.T) {
		app := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("a request was sent") })
		_, err := newClient(oauth.Options{}).Refresh(t.Context(), app, secret.Text{})
		if got := oauth.OutcomeOf(err); got != oauth.Rejected {
			t.Errorf("got %v, want %s", err, oauth.Rejected)
		}
		app.Provider.TokenEndpoint = ""
		_, err = newClient(oauth.Options{}).Refresh(t.Context(), app, secret.New(theRefresh))
		if got := oauth.OutcomeOf(err); got != oauth.Rejected {
			t.Errorf("got %v, want %s", err, oauth.Rejected)
		}
	})
}

// TestErrorsNeverEchoWhatWasSent lets a provider send the code and the secret back in every place it can.
func TestErrorsNeverEchoWhatWasSent(t *testing.T) {
	for _, body := range []string{
		`{"reason":"Invalid authorization code ` + theCode + `","error":"invalid_grant"}`,
		`{"reason":"x","error":"` + theCode + `"}`,
		`{"error":"invalid_grant.` + theCode + `"}`,
		`{"error":{"type":"` + theCode + `"}}`,
		`{"error":"` + theCode[:20] + `"}`,
		`{"code":"` + theCode + `","message":"` + theSecret + `"}`,
		theCode,
	} {
		app := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Echo", theCode)
			answer(w, 400, body)
		})
		_, err := newClient(oauth.Options{}).Exchange(t.Context(), app, code())
		var e *oauth.Error
		if !errors.As(err, &e) {
			t.Fatalf("got %v", err)
		}
		if text := err.Error() + e.Message + e.ProviderCode; strings.Contains(text, theCode[:20]) || strings.Contains(text, theSecret) {
			t.Errorf("with body %s: the error echoes what was sent: %s", body, text)
		}
	}
}

func TestOutcomeOf(t *testing.T) {
	if got := oauth.OutcomeOf(nil); got != "" {
		t.Errorf("no error: got %q", got)
	}
	if got := oauth.OutcomeOf(errors.New("x")); got != oauth.Unknown {
		t.Errorf("foreign error: got %q, want %q", got, oauth.Unknown)
	}
}
