package playground_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/tokenkeep/tokenkeep/internal/secret"
	"github.com/tokenkeep/tokenkeep/internal/server/playground"
)

const wantPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self' data:; " +
	"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// ask sends one request to a fresh handler; headers are name, value, name, value.
func ask(t *testing.T, o playground.Options, method, target string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(method, target, nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	playground.Handler(o).ServeHTTP(w, r)
	return w
}

func TestEveryAnswerCarriesTheSecurityHeaders(t *testing.T) {
	for _, target := range []string{"/playground", "/playground/", "/playground/config.json", "/playground/favicon.svg", "/playground/none"} {
		for _, method := range []string{"GET", "HEAD", "POST"} {
			h := ask(t, playground.Options{}, method, target).Header()
			for name, want := range map[string]string{
				"Content-Security-Policy":      wantPolicy,
				"X-Content-Type-Options":       "nosniff",
				"X-Frame-Options":              "DENY",
				"Referrer-Policy":              "no-referrer",
				"Cross-Origin-Opener-Policy":   "same-origin",
				"Cross-Origin-Resource-Policy": "same-origin",
			} {
				if got := h.Get(name); got != want {
					t.Errorf("%s %s: %s = %q, want %q", method, target, name, got, want)
				}
			}
		}
	}
}

func TestPageIsServedAtBothAddressesAndNeverStored(t *testing.T) {
	for _, target := range []string{"/playground", "/playground/"} {
		w := ask(t, playground.Options{}, "GET", target)
		if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "<title>Tokenkeep Playground</title>") {
			t.Errorf("%s: got %d %.80q", target, w.Code, w.Body)
		}
		if got := w.Header().Get("Cache-Control"); got != "no-store" {
			t.Errorf("%s: Cache-Control = %q, want no-store", target, got)
		}
	}
}

func TestPageHasNothingInlineAndEveryLinkedFileExists(t *testing.T) {
	page := ask(t, playground.Options{}, "GET", "/playground").Body.String()
	if regexp.MustCompile(`<script[^>]*>[^<]|<style|\son\w+=|\sstyle=|https?://`).MatchString(page) {
		t.Errorf("the page carries inline code, inline style or a foreign address:\n%s", page)
	}
	links := regexp.MustCompile(`(?:src|href)="([^"]+)"`).FindAllStringSubmatch(page, -1)
	if len(links) < 3 {
		t.Fatalf("got %d linked files, want at least script, style and icon", len(links))
	}
	for _, link := range links {
		w := ask(t, playground.Options{}, "GET", link[1])
		if w.Code != http.StatusOK || w.Body.Len() == 0 {
			t.Errorf("%s: got %d with %d bytes", link[1], w.Code, w.Body.Len())
		}
		immutable := strings.Contains(w.Header().Get("Cache-Control"), "immutable")
		if want := strings.Contains(link[1], "/assets/"); immutable != want {
			t.Errorf("%s: immutable = %v, want %v", link[1], immutable, want)
		}
	}
}

func TestWhatIsNotThereIsNotFound(t *testing.T) {
	for _, target := range []string{
		"/playground/assets", "/playground/assets/", "/playground/index.html", "/playground/none.js", "/playground/dist/index.html",
		"/playground/../playground.go", "/playground/ui/package.json", "/playground//", "/playgroundfavicon.svg", "/playgroundx", "/", "/playground//playground",
	} {
		if got := ask(t, playground.Options{}, "GET", target).Code; got != http.StatusNotFound {
			t.Errorf("%s: got %d, want 404", target, got)
		}
	}
}

func TestOnlyReadingMethods(t *testing.T) {
	for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS", "PATCH"} {
		w := ask(t, playground.Options{}, method, "/playground")
		if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "GET, HEAD" {
			t.Errorf("%s: got %d, Allow %q", method, w.Code, w.Header().Get("Allow"))
		}
	}
	if w := ask(t, playground.Options{}, "HEAD", "/playground"); w.Code != http.StatusOK || w.Body.Len() != 0 {
		t.Errorf("HEAD: got %d with %d bytes, want 200 with none", w.Code, w.Body.Len())
	}
}

func TestAssetsAnswerConditionalRequestsAndCompress(t *testing.T) {
	const target = "/playground/favicon.svg"
	plain := ask(t, playground.Options{}, "GET", target)
	if got := ask(t, playground.Options{}, "GET", target, "If-None-Match", plain.Header().Get("ETag")).Code; got != http.StatusNotModified {
		t.Errorf("same tag: got %d, want 304", got)
	}
	for header, want := range map[string]string{"gzip, br": "gzip", "br, GZIP;q=0.5": "gzip", "gzip;q=0": "", "br": "", "": ""} {
		w := ask(t, playground.Options{}, "GET", target, "Accept-Encoding", header)
		if got := w.Header().Get("Content-Encoding"); got != want {
			t.Errorf("Accept-Encoding %q: got %q, want %q", header, got, want)
		}
		if same := w.Header().Get("ETag") == plain.Header().Get("ETag"); same != (want == "") {
			t.Errorf("Accept-Encoding %q: the two encodings must not share a tag", header)
		}
	}
}

func TestConfig(t *testing.T) {
	dev := playground.Options{
		Endpoint:  "/api",
		DevKey:    secret.New("tk_dev"),
		DevValues: map[string]string{"app": "app_1"},
	}
	filled := map[string]any{"endpoint": "/api", "apiKey": "tk_dev", "values": map[string]any{"app": "app_1"}}
	withoutKey := map[string]any{"endpoint": "/api", "values": map[string]any{"app": "app_1"}}
	for _, c := range []struct {
		about, host string
		options     playground.Options
		want        map[string]any
	}{
		{"nothing set", "example.com", playground.Options{}, map[string]any{"endpoint": "/graphql"}},
		{"dev by name", "localhost:8080", dev, filled},
		{"dev by address", "127.0.0.1:8080", dev, filled},
		{"dev by IPv6 address", "[::1]:8080", dev, filled},
		{"dev by IPv6 address without port", "[::1]", dev, filled},
		{"a name pointed at this machine", "rebound.example:8080", dev, withoutKey},
		{"a name that begins like an address", "127.0.0.1.example.com", dev, withoutKey},
		{"no host", "", dev, withoutKey},
	} {
		r := httptest.NewRequest("GET", "/playground/config.json", nil)
		r.Host = c.host
		w := httptest.NewRecorder()
		playground.Handler(c.options).ServeHTTP(w, r)
		var got map[string]any
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: got %v (%v), want %v", c.about, got, err, c.want)
		}
		if w.Header().Get("Cache-Control") != "no-store" || w.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%s: got headers %v", c.about, w.Header())
		}
	}
}
