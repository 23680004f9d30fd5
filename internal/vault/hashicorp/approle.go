package hashicorp

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/hashicorp/vault/api"
	"github.com/hashicorp/vault/api/auth/approle"

	"github.com/tokenkeep/tokenkeep/internal/secret"
	"github.com/tokenkeep/tokenkeep/internal/vault"
)

// appRoleWay logs in with a secret id, which it unwraps where it is wrapped.
type appRoleWay struct {
	AppRole
	// wrapping is the last wrapping token that was unwrapped, unwrapped what it held.
	wrapping, unwrapped secret.Text
}

func (w *appRoleWay) String() string { return "AppRole" }
func (w *appRoleWay) changed() bool  { return false }
func (w *appRoleWay) again() bool    { return true }

func (w *appRoleWay) login(ctx context.Context, c *api.Client) (ticket, error) {
	id, err := w.secretID(ctx, c)
	if err != nil {
		return ticket{}, err
	}
	method, err := approle.NewAppRoleAuth(w.RoleID, &approle.SecretID{FromString: id.Reveal()}, approle.WithMountPath(orElse(w.Mount, "approle")))
	if err != nil {
		return ticket{}, fmt.Errorf("%w: %w", vault.ErrDenied, err)
	}
	return ticketOf(method.Login(ctx, c))
}

// secretID returns the secret id, unwrapped once for each wrapping token.
func (w *appRoleWay) secretID(ctx context.Context, c *api.Client) (secret.Text, error) {
	given := w.SecretID
	if w.SecretIDFile != "" {
		read, err := readSecret(w.SecretIDFile)
		if err != nil && w.unwrapped.IsZero() {
			return secret.Text{}, err
		}
		// A wrapping token's file may be gone once it has served.
		given = orElse(read, w.wrapping)
	}
	if !w.Wrapped {
		return given, nil
	}
	if given.Equal(w.wrapping) {
		return w.unwrapped, nil
	}
	id, err := unwrap(ctx, c, given)
	if err != nil {
		return secret.Text{}, err
	}
	w.wrapping, w.unwrapped = given, id
	return id, nil
}

// unwrap takes the secret id out of a wrapping token. Errors: vault.ErrDenied, with what to make of it.
func unwrap(ctx context.Context, c *api.Client, wrapping secret.Text) (secret.Text, error) {
	got, err := c.Logical().UnwrapWithContext(ctx, wrapping.Reveal())
	c.SetToken(noToken.Reveal()) // the library has left the wrapping token in it
	var answer *api.ResponseError
	if errors.As(err, &answer) && answer.StatusCode == http.StatusBadRequest {
		return secret.Text{}, fmt.Errorf("%w: the wrapped secret id has expired or was unwrapped before; where nobody here did, "+
			"it was intercepted: destroy the secret id and wrap another one", vault.ErrDenied)
	}
	if err != nil {
		return secret.Text{}, err
	}
	if id, ok := got.Data["secret_id"].(string); ok && id != "" {
		return secret.New(id), nil
	}
	return secret.Text{}, fmt.Errorf("%w: the wrapping token does not hold a secret id", vault.ErrDenied)
}
