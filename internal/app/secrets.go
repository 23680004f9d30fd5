package app

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/ent/oauthapp"
	"github.com/tokenkeep/tokenkeep/internal/errs"
	"github.com/tokenkeep/tokenkeep/internal/id"
	"github.com/tokenkeep/tokenkeep/internal/oauth"
	"github.com/tokenkeep/tokenkeep/internal/secret"
	"github.com/tokenkeep/tokenkeep/internal/tenant"
	"github.com/tokenkeep/tokenkeep/internal/vault"
)

// secrets are an app's two secrets, sealed. Nil: stays as it is. Without bytes: there is none.
type secrets struct{ client, webhook *vault.Sealed }

// sealSecrets seals what is given, under the key of the tenant that the app is filed under and bound to the app's id.
func (s *Service) sealSecrets(ctx context.Context, home, app uuid.UUID, client, webhook *secret.Text) (secrets, error) {
	var out secrets
	for _, one := range []struct {
		purpose vault.Purpose
		text    *secret.Text
		to      **vault.Sealed
	}{{vault.PurposeClientSecret, client, &out.client}, {vault.PurposeWebhookSecret, webhook, &out.webhook}} {
		if one.text == nil {
			continue
		}
		var sealed vault.Sealed
		if !one.text.IsZero() {
			var err error
			place := vault.Place{Tenant: home, Purpose: one.purpose, Object: app}
			if sealed, err = vault.Seal(ctx, s.keys, place, secret.NewBytes([]byte(one.text.Reveal()))); err != nil {
				return secrets{}, fromVault("sealing an app's "+string(one.purpose), err)
			}
		}
		*one.to = &sealed
	}
	return out, nil
}

// sealed makes a row of the input. The operator's key is made with the first shared app; tenants have theirs.
func (s *Service) sealed(ctx context.Context, home uuid.UUID, in CreateInput) (row, error) {
	if home == tenant.Operator {
		if err := s.keys.CreateKey(ctx, home); err != nil {
			return row{}, fromVault("creating the operator's key", err)
		}
	}
	r := row{in: in, id: id.New(), home: home, at: s.now()}
	var err error
	r.secrets, err = s.sealSecrets(ctx, home, r.id, &in.ClientSecret, &in.WebhookSecret)
	return r, err
}

// apply sets the columns of what is given. A client secret, new or removed, ends MISCONFIGURED: what the provider
// refused is not there any more.
func (n secrets) apply(m *ent.OAuthAppMutation) {
	if n.client != nil {
		activate(m)
		if len(n.client.Bytes) == 0 {
			m.ClearClientSecret()
			m.ClearClientSecretKeyVersion()
		} else {
			m.SetClientSecret(n.client.Bytes)
			m.SetClientSecretKeyVersion(n.client.KeyVersion)
		}
	}
	if n.webhook == nil {
		return
	}
	if len(n.webhook.Bytes) == 0 {
		m.ClearWebhookSecret()
		m.ClearWebhookSecretKeyVersion()
	} else {
		m.SetWebhookSecret(n.webhook.Bytes)
		m.SetWebhookSecretKeyVersion(n.webhook.KeyVersion)
	}
}

func activate(m *ent.OAuthAppMutation) {
	m.SetState(oauthapp.StateACTIVE)
	m.SetFailureAttempts(0)
	for _, forget := range []func(){
		m.ClearFailureClass, m.ClearFailureReason, m.ClearFailureMessage, m.ClearFailureProviderCode,
		m.ClearFailureHTTPStatus, m.ClearFailureSince, m.ClearFailureLastAt, m.ClearFailureNextAttemptAt,
	} {
		forget()
	}
}

// Credentials returns the app as its provider knows it, with its client secret opened: for whoever is about to call the
// provider on the viewer's behalf. Errors: APP_MISCONFIGURED (the provider left the catalogue, or the secret does not
// open), VAULT_UNAVAILABLE.
func (s *Service) Credentials(ctx context.Context, a *ent.OAuthApp) (oauth.App, error) {
	p, err := s.of(a)
	if err != nil {
		return oauth.App{}, err
	}
	out := oauth.App{Provider: p, ClientID: a.ClientID}
	if len(a.ClientSecret) == 0 {
		return out, nil
	}
	home, err := opener(ctx, a)
	if err != nil {
		return oauth.App{}, err
	}
	out.ClientSecret, err = s.clientSecret(ctx, home, a)
	if err != nil {
		return oauth.App{}, err
	}
	return out, nil
}

// clientSecret opens the app's client secret, or remembers it.
func (s *Service) clientSecret(ctx context.Context, home uuid.UUID, a *ent.OAuthApp) (secret.Text, error) {
	key := keyOf(home, a)
	if known, ok := s.secrets.get(key); ok {
		return known, nil
	}
	place := vault.Place{Tenant: home, Purpose: vault.PurposeClientSecret, Object: a.ID}
	plain, err := vault.Unseal(ctx, s.keys, place, a.ClientSecret)
	if errors.Is(err, vault.ErrCorrupt) {
		return secret.Text{}, errs.New(errs.AppMisconfigured,
			"the client secret of this app cannot be opened; enter it again with updateOAuthApp").WithCause(err)
	}
	if err != nil {
		return secret.Text{}, fromVault("opening a client secret", err)
	}
	opened := secret.New(string(plain.Reveal()))
	s.secrets.put(key, opened)
	return opened, nil
}

// Forget drops a tenant's opened secrets from memory: for whoever destroys the tenant's key. Other processes drop theirs
// when their life is over.
func (s *Service) Forget(tenant uuid.UUID) { s.secrets.forget(tenant) }

// Close drops all opened secrets from memory, once nobody uses the service any more.
func (s *Service) Close() { s.secrets.close() }

// opener returns the tenant whose key opens the app's secrets: the viewer's, whatever the row says, but for the
// operator's apps, which all may use.
func opener(ctx context.Context, a *ent.OAuthApp) (uuid.UUID, error) {
	if a.TenantID == tenant.Operator {
		return tenant.Operator, nil
	}
	return acting(ctx)
}

// acting returns the tenant in which the viewer acts. Errors: UNAUTHENTICATED, FORBIDDEN; INTERNAL for the service's own
// work on behalf of nobody.
func acting(ctx context.Context) (uuid.UUID, error) {
	v := tenant.FromContext(ctx)
	switch {
	case v == nil:
		return uuid.Nil, errs.New(errs.Unauthenticated, "nobody is signed in: send an API key in the header Authorization")
	case v.Tenant != uuid.Nil:
		return v.Tenant, nil
	case v.IsOperator:
		return uuid.Nil, errs.New(errs.Forbidden, "an operator does this inside a tenant: name one in the header Tokenkeep-Tenant")
	default:
		return uuid.Nil, fmt.Errorf("using an app: the viewer %s stands for no tenant", v.Actor())
	}
}
