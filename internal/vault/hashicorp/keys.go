package hashicorp

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/internal/vault"
)

// keyName is the name of a tenant's transit key.
func keyName(tenant uuid.UUID) string { return root + "-" + tenant.String() }

// transit is a path of the transit engine.
func (v *Vault) transit(path string) string { return v.options.TransitMount + "/" + path }

// keyAnswer is what transit says about a key.
type keyAnswer struct {
	Latest int `json:"latest_version"`
	Min    int `json:"min_decryption_version"`
}

// readKey asks transit about a tenant's key. Errors: vault.ErrNoKey.
func (v *Vault) readKey(ctx context.Context, id *identity, tenant uuid.UUID) (vault.KeyInfo, error) {
	var is keyAnswer
	err := v.call(ctx, id, request{method: http.MethodGet, path: v.transit("keys/" + keyName(tenant)), head: true}, &is)
	if err != nil {
		return vault.KeyInfo{}, keyError(err)
	}
	return vault.KeyInfo{Latest: is.Latest, Min: is.Min}, nil
}

// configureKey changes settings of a tenant's key. Errors: vault.ErrNoKey.
func (v *Vault) configureKey(ctx context.Context, id *identity, tenant uuid.UUID, path string, settings any) error {
	return keyError(v.call(ctx, id, request{
		method: http.MethodPut, path: v.transit("keys/" + keyName(tenant) + path), body: settings,
	}, nil))
}

// CreateKey implements vault.Keys. The mark comes first and is looked at again behind the key: a destruction at the same
// time wins.
func (v *Vault) CreateKey(ctx context.Context, tenant uuid.UUID) error {
	if tenant == uuid.Nil {
		return fmt.Errorf("creating a tenant key: %w: no tenant", vault.ErrInvalid)
	}
	if err := v.createKey(ctx, tenant); err != nil {
		return fmt.Errorf("creating a tenant key: %w", sentinel(err))
	}
	return nil
}

func (v *Vault) createKey(ctx context.Context, tenant uuid.UUID) error {
	is, err := v.raiseMark(ctx, tenant, markLive)
	if err != nil {
		return err
	}
	if is == markDestroyed {
		return fmt.Errorf("%w: it was destroyed", vault.ErrNoKey)
	}
	if err := v.configureKey(ctx, v.keeper, tenant, "", map[string]string{"type": "aes256-gcm96"}); err != nil {
		return err
	}
	now, _, err := v.readMark(ctx, tenant)
	if err != nil || now == markLive {
		return err
	}
	if err := v.deleteKey(ctx, tenant); err != nil {
		return err
	}
	return fmt.Errorf("%w: it was destroyed meanwhile", vault.ErrNoKey)
}

// DestroyKey implements vault.Keys. Once the mark says so there is no way back: a destruction that was interrupted is
// finished by the next.
func (v *Vault) DestroyKey(ctx context.Context, tenant uuid.UUID) error {
	if err := v.destroyKey(ctx, tenant); err != nil {
		return fmt.Errorf("destroying a tenant key: %w", sentinel(err))
	}
	v.keys.forget(tenant)
	return nil
}

func (v *Vault) destroyKey(ctx context.Context, tenant uuid.UUID) error {
	is, _, err := v.readMark(ctx, tenant)
	if err != nil {
		return err
	}
	if is == markNone {
		// A key without a mark was made by hand or restored; its destruction is remembered all the same.
		if _, err := v.readKey(ctx, v.keeper, tenant); err != nil {
			return unless(err, vault.ErrNoKey)
		}
	}
	if _, err := v.raiseMark(ctx, tenant, markDestroyed); err != nil {
		return err
	}
	return v.deleteKey(ctx, tenant)
}

// deletions is how often a key is deleted that somebody, who has not seen the mark yet, makes again meanwhile. Each of them
// does so once.
const deletions = 10

// deleteKey deletes the key where there is one.
func (v *Vault) deleteKey(ctx context.Context, tenant uuid.UUID) error {
	var err error
	for range deletions {
		err = v.configureKey(ctx, v.keeper, tenant, "/config", map[string]bool{"deletion_allowed": true})
		if err != nil {
			return unless(err, vault.ErrNoKey)
		}
		err = keyError(v.call(ctx, v.keeper, request{method: http.MethodDelete, path: v.transit("keys/" + keyName(tenant))}, nil))
		// It is another key than the one that was configured.
		if e, ok := asAnswer(err); !ok || !e.says("deletion is not allowed") {
			break
		}
	}
	return unless(err, vault.ErrNoKey)
}

// RotateKey implements vault.Keys. The request is sent once: in doubt the key has a version more than anybody wanted,
// which harms nobody.
func (v *Vault) RotateKey(ctx context.Context, tenant uuid.UUID) (int, error) {
	var is keyAnswer
	err := keyError(v.call(ctx, v.service, request{
		method: http.MethodPut, path: v.transit("keys/" + keyName(tenant) + "/rotate"), body: struct{}{}, once: true,
	}, &is))
	if err == nil && is.Latest < 1 {
		err = fmt.Errorf("%w: the answer says no version", vault.ErrUnavailable)
	}
	if err != nil {
		return 0, fmt.Errorf("rotating a tenant key: %w", err)
	}
	return is.Latest, nil
}

// KeyInfo implements vault.Keys.
func (v *Vault) KeyInfo(ctx context.Context, tenant uuid.UUID) (vault.KeyInfo, error) {
	info, err := v.readKey(ctx, v.service, tenant)
	if err != nil {
		return vault.KeyInfo{}, fmt.Errorf("reading a tenant key's versions: %w", err)
	}
	return info, nil
}

// SetMinVersion implements vault.Keys: the older versions are taken out of use and then out of the key, so that no
// setting brings them back. Errors: also vault.ErrInvalid where min is above the latest version.
func (v *Vault) SetMinVersion(ctx context.Context, tenant uuid.UUID, min int) error {
	if err := v.setMinVersion(ctx, tenant, min); err != nil {
		return fmt.Errorf("raising a tenant key's minimum version: %w", err)
	}
	v.keys.forget(tenant)
	return nil
}

func (v *Vault) setMinVersion(ctx context.Context, tenant uuid.UUID, min int) error {
	info, err := v.readKey(ctx, v.service, tenant)
	switch {
	case err != nil:
		return err
	case min > info.Latest:
		return fmt.Errorf("%w: version %d is above the latest, %d", vault.ErrInvalid, min, info.Latest)
	case min > info.Min:
		err = v.configureKey(ctx, v.service, tenant, "/config", map[string]int{"min_decryption_version": min, "min_encryption_version": min})
	case min < 2 || min < info.Min:
		return nil
	}
	if err != nil {
		return err
	}
	return v.configureKey(ctx, v.service, tenant, "/trim", map[string]int{"min_available_version": min})
}

// unless returns nil for errors that are the sentinel.
func unless(err, expected error) error {
	if errors.Is(err, expected) {
		return nil
	}
	return err
}
