package connection_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"entgo.io/ent/dialect"

	"github.com/tokenkeep/tokenkeep/internal/app"
	"github.com/tokenkeep/tokenkeep/internal/secret"
	"github.com/tokenkeep/tokenkeep/internal/servicetest"
	"github.com/tokenkeep/tokenkeep/internal/vault"
	"github.com/tokenkeep/tokenkeep/internal/zoomsim"
)

// written collects what is logged.
type written struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (w *written) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.Write(p)
}

func (w *written) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}

// secrets are what must not be found anywhere: the emulator's tokens and codes by their beginnings, the client's secret,
// an API key, and what a panic or an error of somebody else's may quote.
var secrets = []string{"zsim_at_", "zsim_rt_", "zsim_ac_", servicetest.ClientSecret, "k3y-of-a-user", "quoted-by-a-panic"}

// TestNothingLeaks runs what can go wrong with a log at debug level, and looks for secrets in the log, in the errors that
// callers get and in the database.
func TestNothingLeaks(t *testing.T) {
	log := &written{}
	o := keys()
	o.Logger = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	eachWith(t, o, func(t *testing.T, k *kit) {
		var told []string
		note := func(_ any, err error) {
			if err != nil {
				told = append(told, err.Error())
			}
		}
		code := k.Consent(t, user)
		c, _, err := k.create(code, nil)
		note(c, err)
		_, _, err = k.Connections.Create(k.other.Ctx, k.other.CodeInput(code))
		note(nil, err)
		_, _, err = k.create("zsim_ac_unknown", nil)
		note(nil, err)
		_, _, err = k.keep(k.App(t, k.one, "keys"), "ada", "k3y-of-a-user", nil)
		note(nil, err)
		k.Vault.Before("WriteRecord", servicetest.Times(3, servicetest.Fail(vault.ErrUnavailable)))
		note(k.Connections.Refresh(k.one.Ctx, c.ID))
		k.fault(zoomsim.Fault{Endpoint: zoomsim.EndpointToken, Count: 2, Status: 400, Body: `{"error":"invalid_request","reason":"zsim_rt_echoed is not good"}`})
		note(k.Connections.Refresh(k.one.Ctx, c.ID))
		k.OAuth.After("Refresh", servicetest.Times(1, func(context.Context) error { panic("quoted-by-a-panic") }))
		note(k.Connections.Refresh(k.one.Ctx, c.ID))
		wrong := secret.New("quoted-by-a-panic, a wrong secret")
		_, err = k.Apps.Update(k.one.Ctx, app.UpdateInput{ID: k.one.App.ID, ClientSecret: &wrong})
		note(nil, err)
		note(k.Connections.Refresh(k.one.Ctx, c.ID))
		k.Clock.Advance(3 * time.Hour)
		k.read(c.ID)
		k.fault(zoomsim.Fault{Endpoint: zoomsim.EndpointRevoke, Count: 1, Status: 503, Body: "zsim_at_echoed"})
		note(nil, k.Connections.Delete(k.one.Ctx, c.ID))
		k.sweep()
		if len(told) < 4 {
			t.Errorf("only %d errors: %q", len(told), told)
		}
		for what, text := range map[string]string{"the log": log.String(), "errors": strings.Join(told, "\n"), "the database": k.everything()} {
			for _, s := range secrets {
				if i := strings.Index(text, s); i >= 0 {
					t.Errorf("%s: found %q: %s", what, s, text[max(0, i-100):min(len(text), i+60)])
				}
			}
		}
		if !strings.Contains(log.String(), "panic in a detached step") {
			t.Error("the log does not speak of the panic")
		}
	})
}

// everything is the text of all rows, or of the whole file.
func (k *kit) everything() string {
	k.t.Helper()
	if k.DB.Dialect != dialect.Postgres {
		path := strings.TrimPrefix(k.URL, "sqlite://")
		var all []byte
		for _, suffix := range []string{"", "-wal"} {
			b, err := os.ReadFile(path + suffix)
			if err != nil {
				k.t.Fatal(err)
			}
			all = append(all, b...)
		}
		return string(all)
	}
	ctx := k.t.Context()
	var all strings.Builder
	for _, table := range k.column("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'") {
		for _, row := range k.column(fmt.Sprintf(`SELECT t::text FROM %q t`, table)) {
			all.WriteString(row + "\n")
		}
	}
	if all.Len() == 0 || ctx.Err() != nil {
		k.t.Error("the database is empty")
	}
	return all.String()
}

// column returns the one column of a query.
func (k *kit) column(query string) []string {
	k.t.Helper()
	rows, err := k.DB.SQL().QueryContext(k.t.Context(), query)
	if err != nil {
		k.t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	var out []string
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			k.t.Fatal(err)
		}
		out = append(out, s)
	}
	if err := rows.Err(); err != nil {
		k.t.Fatal(err)
	}
	return out
}
