package hashicorp

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/tokenkeep/tokenkeep/internal/vault"
)

// healthPath is where Health writes.
const healthPath = root + "/health"

// Health implements vault.Vault: both mounts are of the right kind, the pepper answers, and a value is read and written
// in KV. It takes five requests. The cause is wrapped beside vault.ErrUnavailable: vault.ErrDenied tells a policy that
// lacks something.
func (v *Vault) Health(ctx context.Context) error {
	if err := v.health(ctx); err != nil {
		return fmt.Errorf("checking the vault: %w: %w", vault.ErrUnavailable, err)
	}
	return nil
}

func (v *Vault) health(ctx context.Context) error {
	if err := v.checkMount(ctx, v.options.TransitMount, "transit", ""); err != nil {
		return err
	}
	if err := v.checkMount(ctx, v.options.KVMount, "kv", "2"); err != nil {
		return err
	}
	if _, err := v.mac(ctx, []byte("health")); err != nil {
		return sentinel(err)
	}
	return v.checkWriting(ctx)
}

// checkMount fails unless there is an engine of that type and version where it is expected. Any token that may do
// something under a mount may ask.
func (v *Vault) checkMount(ctx context.Context, mount, kind, version string) error {
	var is struct {
		Type    string            `json:"type"`
		Options map[string]string `json:"options"`
	}
	err := v.call(ctx, v.service, request{method: http.MethodGet, path: "sys/internal/ui/mounts/" + mount}, &is)
	switch {
	case err != nil:
		return fmt.Errorf("asking for the mount %s: %w", mount, sentinel(err))
	case is.Type != kind:
		return fmt.Errorf("%w: the mount %s is %q, not %q", vault.ErrUnavailable, mount, is.Type, kind)
	case version != "" && is.Options["version"] != version:
		return fmt.Errorf("%w: the mount %s is %s version %q, not %q: vault kv enable-versioning %s/", vault.ErrUnavailable, mount, kind,
			orElse(is.Options["version"], "1"), version, mount)
	}
	return nil
}

// checkWriting writes a value in KV. That somebody else wrote it at the same moment is as good.
func (v *Vault) checkWriting(ctx context.Context) error {
	k, err := v.readKV(ctx, v.service, healthPath)
	if err == nil && k.Metadata.Version == 0 {
		err = v.keepOne(ctx, v.service, healthPath)
	}
	if err == nil {
		_, err = v.writeKV(ctx, v.service, healthPath, value{}, vault.CAS(k.Metadata.Version))
	}
	if errors.Is(err, vault.ErrMismatch) {
		return nil
	}
	return sentinel(err)
}
