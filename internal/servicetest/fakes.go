package servicetest

import (
	"context"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/internal/connection"
	"github.com/tokenkeep/tokenkeep/internal/oauth"
	"github.com/tokenkeep/tokenkeep/internal/provider"
	"github.com/tokenkeep/tokenkeep/internal/secret"
	"github.com/tokenkeep/tokenkeep/internal/vault"
	"github.com/tokenkeep/tokenkeep/internal/zoom"
)

// Vault is a vault into which a test injects behaviour. Hooks exist for ReadRecord, WriteRecord, EraseRecord, NewDataKey
// and UnwrapDataKeys.
type Vault struct {
	vault.Vault
	Hooks
}

// Away makes the vault unavailable, for reads and writes alike, until back is called.
func (v *Vault) Away() (back func()) {
	methods := []string{"ReadRecord", "WriteRecord", "EraseRecord", "NewDataKey", "UnwrapDataKeys"}
	for _, m := range methods {
		v.Before(m, Fail(vault.ErrUnavailable))
	}
	return func() {
		for _, m := range methods {
			v.Before(m, nil)
		}
	}
}

// Absent is what the vault beneath knows of its own absence, which nothing injected here changes.
func (v *Vault) Absent() error { return vault.Absent(v.Vault) }

// ReadRecord implements vault.Records.
func (v *Vault) ReadRecord(ctx context.Context, ref vault.Ref) (r vault.Record, cas vault.CAS, err error) {
	err = v.around(ctx, "ReadRecord", func() (err error) {
		r, cas, err = v.Vault.ReadRecord(ctx, ref)
		return err
	})
	return r, cas, err
}

// WriteRecord implements vault.Records.
func (v *Vault) WriteRecord(ctx context.Context, ref vault.Ref, r vault.Record, cas vault.CAS) (next vault.CAS, err error) {
	err = v.around(ctx, "WriteRecord", func() (err error) {
		next, err = v.Vault.WriteRecord(ctx, ref, r, cas)
		return err
	})
	return next, err
}

// EraseRecord implements vault.Records.
func (v *Vault) EraseRecord(ctx context.Context, ref vault.Ref) error {
	return v.around(ctx, "EraseRecord", func() error { return v.Vault.EraseRecord(ctx, ref) })
}

// NewDataKey implements vault.Keys.
func (v *Vault) NewDataKey(ctx context.Context, tenant uuid.UUID) (key vault.DataKey, err error) {
	err = v.around(ctx, "NewDataKey", func() (err error) {
		key, err = v.Vault.NewDataKey(ctx, tenant)
		return err
	})
	return key, err
}

// UnwrapDataKeys implements vault.Keys.
func (v *Vault) UnwrapDataKeys(ctx context.Context, tenant uuid.UUID, wrapped []vault.WrappedKey) (keys []secret.Bytes, err error) {
	err = v.around(ctx, "UnwrapDataKeys", func() (err error) {
		keys, err = v.Vault.UnwrapDataKeys(ctx, tenant, wrapped)
		return err
	})
	return keys, err
}

// OAuth is an OAuth client into which a test injects behaviour. Hooks exist for all its methods.
type OAuth struct {
	connection.OAuth
	Hooks
}

// Exchange implements grant.Provider.
func (o *OAuth) Exchange(ctx context.Context, app oauth.App, g oauth.Code) (set oauth.TokenSet, err error) {
	err = o.around(ctx, "Exchange", func() (err error) {
		set, err = o.OAuth.Exchange(ctx, app, g)
		return err
	})
	return set, err
}

// Refresh implements grant.Provider.
func (o *OAuth) Refresh(ctx context.Context, app oauth.App, token secret.Text) (set oauth.TokenSet, err error) {
	err = o.around(ctx, "Refresh", func() (err error) {
		set, err = o.OAuth.Refresh(ctx, app, token)
		return err
	})
	return set, err
}

// Revoke implements grant.Provider.
func (o *OAuth) Revoke(ctx context.Context, app oauth.App, token secret.Text, kind provider.TokenKind) error {
	return o.around(ctx, "Revoke", func() error { return o.OAuth.Revoke(ctx, app, token, kind) })
}

// UserInfo implements connection.OAuth.
func (o *OAuth) UserInfo(ctx context.Context, p provider.Provider, token secret.Text) (who oauth.Identity, err error) {
	err = o.around(ctx, "UserInfo", func() (err error) {
		who, err = o.OAuth.UserInfo(ctx, p, token)
		return err
	})
	return who, err
}

// Zoom is a Zoom client into which a test injects behaviour. The hook is for Me.
type Zoom struct {
	connection.Zoom
	Hooks
}

// Me implements connection.Zoom.
func (z *Zoom) Me(ctx context.Context, base string, token secret.Text) (user zoom.User, err error) {
	err = z.around(ctx, "Me", func() (err error) {
		user, err = z.Zoom.Me(ctx, base, token)
		return err
	})
	return user, err
}
