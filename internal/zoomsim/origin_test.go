package zoomsim_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/tokenkeep/tokenkeep/internal/zoomsim"
)

// TestControlRefusesOtherOrigins sends what a page of another site can make a browser send, and what a program sends.
func TestControlRefusesOtherOrigins(t *testing.T) {
	sim := zoomsim.New(zoomsim.Options{})
	for name, test := range map[string]struct {
		header http.Header
		want   int
	}{
		"a program":          {http.Header{}, http.StatusOK},
		"a page of ours":     {http.Header{"Origin": {"http://127.0.0.1:8090"}, "Sec-Fetch-Site": {"same-origin"}}, http.StatusOK},
		"a page of another":  {http.Header{"Origin": {"https://evil.example"}, "Sec-Fetch-Site": {"cross-site"}}, http.StatusForbidden},
		"an older browser":   {http.Header{"Origin": {"https://evil.example"}}, http.StatusForbidden},
		"a sandboxed iframe": {http.Header{"Origin": {"null"}}, http.StatusForbidden},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "http://127.0.0.1:8090/_sim/grants/end", strings.NewReader("{}"))
			r.Header = test.header
			w := httptest.NewRecorder()
			sim.ServeHTTP(w, r)
			if w.Code != test.want {
				t.Errorf("got %d %s, want %d", w.Code, w.Body, test.want)
			}
		})
	}
}
