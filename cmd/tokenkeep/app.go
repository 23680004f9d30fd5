package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/ent/oauthapp"
	"github.com/tokenkeep/tokenkeep/internal/app"
	"github.com/tokenkeep/tokenkeep/internal/id"
	"github.com/tokenkeep/tokenkeep/internal/secret"
	"github.com/tokenkeep/tokenkeep/internal/tenant"
)

// appCmd is "tokenkeep app".
type appCmd struct {
	Create appCreateCmd `cmd:"" help:"Make an OAuth app of a tenant, or one that all tenants share."`
	List   appListCmd   `cmd:"" help:"List the apps of a tenant, or those that all tenants share, the oldest first."`
	Delete appDeleteCmd `cmd:"" help:"Delete an app that no connection uses."`
}

// owner says whose apps a command is about.
type owner struct {
	Tenant string `placeholder:"ten_..." help:"The tenant whose app it is."`
	Shared bool   `help:"The app is the operator's and serves all tenants."`
}

// context is the operator's, inside the tenant or in none, and the id under which the apps are filed.
func (o owner) context(operator context.Context, s *service) (context.Context, uuid.UUID, error) {
	switch {
	case o.Shared && o.Tenant != "":
		return nil, uuid.Nil, errors.New("an app is a tenant's or shared: give --tenant or --shared, not both")
	case o.Shared:
		return operator, tenant.Operator, nil
	case o.Tenant == "":
		return nil, uuid.Nil, errors.New("whose app is it? Give --tenant, or --shared for an app that all tenants use")
	}
	ctx, err := s.inside(operator, o.Tenant)
	if err != nil {
		return nil, uuid.Nil, err
	}
	return ctx, tenant.FromContext(ctx).Tenant, nil
}

// appSettings are admin's, with the catalogue: an app is of a provider.
type appSettings struct {
	adminSettings
	providerSettings
}

// do opens the service, runs f as the operator and closes everything.
func (s appSettings) do(ctx context.Context, f func(context.Context, *service) error) error {
	catalogue, err := s.providerSettings.load()
	if err != nil {
		return err
	}
	w, operator, err := s.open(ctx, catalogue)
	if err != nil {
		return err
	}
	return finish(w, f(operator, w))
}

type appCreateCmd struct {
	appSettings
	owner
	Provider          string   `placeholder:"KEY" help:"The provider's key, such as zoom."`
	Name              string   `placeholder:"NAME" help:"Name for people; left out, the provider's."`
	ClientID          string   `name:"client-id" placeholder:"ID" help:"The client id that the provider gave you."`
	ClientSecretFile  string   `placeholder:"FILE" help:"File with the client secret; - reads it from standard input. Never on the command line, which others on the machine can read."`
	WebhookSecretFile string   `placeholder:"FILE" help:"File with the secret that verifies the provider's events; - reads it from standard input."`
	RedirectURI       []string `name:"redirect-uri" sep:"none" placeholder:"URL" help:"A redirect URI that is registered with the provider; may be given again."`
	ReturnTo          []string `sep:"none" placeholder:"URL" help:"An address where browsers may end up after a flow; may be given again."`
	Scope             []string `placeholder:"SCOPE" help:"A scope that the app asks for; may be given again, or several with commas."`
}

// Help is what --help says beside the flags.
func (appCreateCmd) Help() string { return adminHelp }

// Run makes the app.
func (c *appCreateCmd) Run(t *terminal, sig signals) error {
	in := app.CreateInput{
		Shared: c.Shared, Provider: c.Provider, Name: c.Name, ClientID: c.ClientID,
		RedirectURIs: c.RedirectURI, ReturnTo: c.ReturnTo, Scopes: c.Scope,
	}
	if c.ClientSecretFile == "-" && c.WebhookSecretFile == "-" {
		return errors.New("standard input holds one secret: put the other into a file")
	}
	var err error
	if in.ClientSecret, err = readSecret(t.in, "client-secret-file", c.ClientSecretFile); err != nil {
		return err
	}
	if in.WebhookSecret, err = readSecret(t.in, "webhook-secret-file", c.WebhookSecretFile); err != nil {
		return err
	}
	return c.do(sig.stop, func(ctx context.Context, s *service) error {
		ctx, _, err := c.owner.context(ctx, s)
		if err != nil {
			return err
		}
		made, err := s.apps.Create(ctx, in)
		if err != nil {
			return err
		}
		if c.JSON {
			return printJSON(t.out, map[string]string{"app": id.App.Format(made.ID)})
		}
		_, err = fmt.Fprintf(t.out, "app  %s\n", id.App.Format(made.ID))
		return err
	})
}

// readSecret reads a secret from a file or, for "-", from in; white space around it is not part of it.
func readSecret(in io.Reader, flag, file string) (secret.Text, error) {
	const most = 64 << 10
	if file == "" {
		return secret.Text{}, nil
	}
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return secret.Text{}, fmt.Errorf("reading --%s: %w", flag, err)
		}
		defer func() { _ = f.Close() }()
		in = f
	}
	data, err := io.ReadAll(io.LimitReader(in, most))
	if err != nil {
		return secret.Text{}, fmt.Errorf("reading --%s: %w", flag, err)
	}
	text := strings.TrimSpace(string(data))
	if text == "" {
		return secret.Text{}, fmt.Errorf("--%s %s is empty: it must hold the secret", flag, file)
	}
	return secret.New(text), nil
}

type appListCmd struct {
	appSettings
	owner
}

// Help is what --help says beside the flags.
func (appListCmd) Help() string { return adminHelp }

// Run lists the apps.
func (c *appListCmd) Run(t *terminal, sig signals) error {
	return c.do(sig.stop, func(ctx context.Context, s *service) error {
		ctx, home, err := c.owner.context(ctx, s)
		if err != nil {
			return err
		}
		found, err := s.db.Ent.OAuthApp.Query().Where(oauthapp.TenantID(home)).Order(oauthapp.ByID()).All(ctx)
		if err != nil {
			return fmt.Errorf("listing apps: %w", err)
		}
		for _, one := range found {
			if err := c.line(t, one); err != nil {
				return err
			}
		}
		return nil
	})
}

func (c *appListCmd) line(t *terminal, one *ent.OAuthApp) error {
	if c.JSON {
		return printJSON(t.out, map[string]any{
			"app": id.App.Format(one.ID), "provider": one.Provider, "name": one.Name, "clientId": one.ClientID, "state": one.State,
			"redirectUris": one.RedirectUris, "scopes": one.Scopes, "createdAt": one.CreatedAt,
		})
	}
	_, err := fmt.Fprintf(t.out, "%s  %s  %-13s  %-10s  %s  %s\n", id.App.Format(one.ID), stamp(one.CreatedAt), one.State, one.Provider, one.ClientID, one.Name)
	return err
}

type appDeleteCmd struct {
	appSettings
	owner
	App string `arg:"" placeholder:"app_..." help:"The app's id."`
}

// Help is what --help says beside the flags.
func (appDeleteCmd) Help() string { return adminHelp }

// Run deletes the app.
func (c *appDeleteCmd) Run(t *terminal, sig signals) error {
	u, err := parseID("app", id.App, c.App)
	if err != nil {
		return err
	}
	return c.do(sig.stop, func(ctx context.Context, s *service) error {
		ctx, _, err := c.owner.context(ctx, s)
		if err != nil {
			return err
		}
		if err := s.apps.Delete(ctx, u); err != nil {
			return err
		}
		if c.JSON {
			return printJSON(t.out, map[string]string{"deleted": id.App.Format(u)})
		}
		_, err = fmt.Fprintf(t.out, "%s is deleted\n", id.App.Format(u))
		return err
	})
}
