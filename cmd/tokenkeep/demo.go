package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/internal/app"
	"github.com/tokenkeep/tokenkeep/internal/errs"
	"github.com/tokenkeep/tokenkeep/internal/id"
	"github.com/tokenkeep/tokenkeep/internal/secret"
	"github.com/tokenkeep/tokenkeep/internal/tenant"
	"github.com/tokenkeep/tokenkeep/internal/zoomsim"
)

// demo is the tenant that dev makes, with an app and a key, as its file remembers it. The key is in it in the clear: it
// opens what is on this machine, for a made-up Zoom.
type demo struct {
	Tenant       string   `json:"tenant"`
	APIKey       string   `json:"apiKey"`
	App          string   `json:"app,omitempty"`
	ClientID     string   `json:"clientId"`
	ClientSecret string   `json:"clientSecret"`
	RedirectURIs []string `json:"redirectUris"`
}

// demoScopes are what the app asks for: enough for every capability that a connection can be declared to have.
func demoScopes() []string {
	return []string{
		"user:read:user", "user:read:token", "user:read:zak", "meeting:read:list_meetings", "meeting:read:local_recording_token",
	}
}

// demoMaker brings the demo tenant into being, or finds it again.
type demoMaker struct {
	file     string
	service  *service
	emulator *emulator
	// redirectURIs are those of this run: ports may change from one to the next.
	redirectURIs []string
}

// make returns the demo tenant. Each step is remembered before the next, so that a start that was cut off is carried on.
func (m demoMaker) make(ctx context.Context) (demo, error) {
	d, err := m.load()
	if err == nil && d.Tenant == "" {
		d, err = m.createTenant(ctx)
	}
	if err != nil {
		return demo{}, err
	}
	v, err := m.service.tenancy.Authenticate(ctx, secret.New(d.APIKey))
	if errs.Is(err, errs.Unauthenticated) {
		return demo{}, fmt.Errorf("the API key in %s is not valid any more: remove that file, and the next start makes a new demo tenant", m.file)
	}
	if err != nil {
		return demo{}, err
	}
	a, err := m.app(tenant.NewContext(ctx, v), d)
	if err != nil {
		return demo{}, fmt.Errorf("preparing the demo app: %w", err)
	}
	d.App, d.RedirectURIs = id.App.Format(a.ID), m.redirectURIs
	if err := m.register(d, a); err != nil {
		return demo{}, fmt.Errorf("registering the demo app with the emulator: %w", err)
	}
	return d, m.save(d)
}

// createTenant makes the tenant, whose first key holds every scope.
func (m demoMaker) createTenant(ctx context.Context) (demo, error) {
	operator := tenant.NewContext(ctx, &tenant.Viewer{IsOperator: true})
	made, key, err := m.service.tenancy.CreateTenant(operator, "Demo", nil)
	if err != nil {
		return demo{}, fmt.Errorf("creating the demo tenant: %w", err)
	}
	d := demo{
		Tenant: id.Tenant.Format(made.ID), APIKey: key.Reveal(),
		ClientID: "demo-" + uuid.NewString()[:8], ClientSecret: "demo-secret-" + uuid.NewString(),
	}
	return d, m.save(d)
}

// app finds the app and brings its redirect URIs up to date, or makes it where somebody deleted it. Redirect URIs that
// somebody else added stay.
func (m demoMaker) app(ctx context.Context, d demo) (*ent.OAuthApp, error) {
	a, err := m.existing(ctx, d)
	if errs.Is(err, errs.NotFound) {
		return m.service.apps.Create(ctx, app.CreateInput{
			Provider: "zoom", Name: "Demo app", ClientID: d.ClientID, ClientSecret: secret.New(d.ClientSecret),
			RedirectURIs: m.redirectURIs, Scopes: demoScopes(),
		})
	}
	if err != nil {
		return nil, err
	}
	others := slices.DeleteFunc(slices.Clone(a.RedirectUris), func(uri string) bool {
		return slices.Contains(d.RedirectURIs, uri) || slices.Contains(m.redirectURIs, uri)
	})
	wanted := append(slices.Clone(m.redirectURIs), others...)
	if slices.Equal(wanted, a.RedirectUris) {
		return a, nil
	}
	return m.service.apps.Update(ctx, app.UpdateInput{ID: a.ID, RedirectURIs: &wanted})
}

func (m demoMaker) existing(ctx context.Context, d demo) (*ent.OAuthApp, error) {
	if d.App == "" {
		return nil, errs.New(errs.NotFound, "there is no demo app yet")
	}
	u, err := id.App.Parse(d.App)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", m.file, err)
	}
	return m.service.apps.Get(ctx, u)
}

// register tells the emulator of the app. What somebody changed there about its scopes stays.
func (m demoMaker) register(d demo, a *ent.OAuthApp) error {
	c := zoomsim.Client{ID: d.ClientID, Name: a.Name, Scopes: demoScopes()}
	for _, known := range m.emulator.Clients() {
		if known.ID == d.ClientID {
			c = known
		}
	}
	c.Secret, c.RedirectURIs = d.ClientSecret, a.RedirectUris
	return m.emulator.PutClient(c)
}

// load reads the file; an empty demo where there is none.
func (m demoMaker) load() (demo, error) {
	data, err := os.ReadFile(m.file)
	if errors.Is(err, os.ErrNotExist) {
		return demo{}, nil
	}
	var d demo
	if err == nil {
		err = json.Unmarshal(data, &d)
	}
	if err == nil && (d.Tenant == "" || d.APIKey == "" || d.ClientID == "" || d.ClientSecret == "") {
		err = errors.New("something is missing in it")
	}
	if err != nil {
		return demo{}, fmt.Errorf("reading %s: %w; remove that file, and the next start makes a new demo tenant", m.file, err)
	}
	return d, nil
}

func (m demoMaker) save(d demo) error {
	data, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return fmt.Errorf("writing %s: %w", m.file, err)
	}
	return writePrivate(m.file, append(data, '\n'))
}
