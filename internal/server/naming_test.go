package server_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/tokenkeep/tokenkeep/internal/id"
	"github.com/tokenkeep/tokenkeep/internal/server"
)

// TestBodiesArriveWhole: a body that was looked into for a connection's id is there for GraphQL, whatever is in it.
func TestBodiesArriveWhole(t *testing.T) {
	echo := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		_, _ = w.Write(text)
	})
	address, _ := start(t, func(o *server.Options) { o.GraphQL = echo })
	named := id.Connection.Format(id.New())
	for name, body := range map[string]string{
		"none": "", "an id": `{"id":"` + named + `"}`, "two ids": named + named, "half an id": named[:20], "no id": "conn_" + strings.Repeat("!", 26),
		"long": strings.Repeat("x", 4<<10-len(named)) + named, "longer": strings.Repeat("x", 4<<10) + named,
	} {
		for kind, reader := range map[string]io.Reader{"of known length": strings.NewReader(body), "in chunks": io.MultiReader(strings.NewReader(body))} {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address+"/graphql", reader)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Authorization", "Bearer "+goodKey)
			response, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(response.Body)
			_ = response.Body.Close()
			if err != nil || string(got) != body {
				t.Errorf("%s, %s: got %d bytes, %v, want %d", name, kind, len(got), err, len(body))
			}
		}
	}
}
