package setup

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/hashicorp/vault/api"
)

// tokenLife and maxTokenLife are what a login of the service gives; it is renewed, and replaced by another in time.
const (
	tokenLife    = "1h"
	maxTokenLife = "24h"
)

// configure makes what is missing, as root.
func (r *run) configure(ctx context.Context, root *api.Client) error {
	for _, step := range []struct {
		doing string
		do    func(context.Context, *api.Client) error
	}{
		{"mounting the engines", r.mount}, {"making the pepper", r.makePepper}, {"writing the policies", r.writePolicies},
		{"making the logins", r.makeRoles},
	} {
		if err := step.do(ctx, root); err != nil {
			return fmt.Errorf("%s: %w", step.doing, err)
		}
	}
	return nil
}

func (r *run) mount(ctx context.Context, root *api.Client) error {
	mounts, err := root.Sys().ListMountsWithContext(ctx)
	if err != nil {
		return err
	}
	for path, want := range map[string]*api.MountInput{
		r.TransitMount: {Type: "transit"}, r.KVMount: {Type: "kv", Options: map[string]string{"version": "2"}},
	} {
		is := mounts[path+"/"]
		switch {
		case is == nil:
			if err := root.Sys().MountWithContext(ctx, path, want); err != nil {
				return err
			}
		case is.Type != want.Type || is.Options["version"] != want.Options["version"]:
			return fmt.Errorf("at %s there is an engine of another kind (%s)", path, is.Type)
		}
	}
	return r.keepOneVersion(ctx, root)
}

// keepOneVersion has KV keep one version, and waits while KV prepares its mount behind our backs.
func (r *run) keepOneVersion(ctx context.Context, root *api.Client) error {
	for {
		_, err := root.Logical().WriteWithContext(ctx, r.KVMount+"/config", map[string]any{"max_versions": 1})
		if err == nil || ignoreStatus(err, 400, 404, 500, 503) != nil || pause(ctx) != nil {
			return err
		}
	}
}

// makePepper makes the pepper, once: another one would make all API keys invalid.
func (r *run) makePepper(ctx context.Context, root *api.Client) error {
	path := r.TransitMount + "/keys/tokenkeep-pepper"
	is, err := root.Logical().ReadWithContext(ctx, path)
	if err != nil || is != nil {
		return err
	}
	_, err = root.Logical().WriteWithContext(ctx, path, map[string]any{"type": "hmac", "key_size": 32})
	return err
}

func (r *run) writePolicies(ctx context.Context, root *api.Client) error {
	for name, rules := range Policies(r.TransitMount, r.KVMount) {
		if err := root.Sys().PutPolicyWithContext(ctx, name, rules); err != nil {
			return err
		}
	}
	return nil
}

// makeRoles makes an AppRole for each role and writes its secret id down.
func (r *run) makeRoles(ctx context.Context, root *api.Client) error {
	auths, err := root.Sys().ListAuthWithContext(ctx)
	if err != nil {
		return err
	}
	if auths["approle/"] == nil {
		if err := root.Sys().EnableAuthWithOptionsWithContext(ctx, "approle", &api.EnableAuthOptions{Type: "approle"}); err != nil {
			return err
		}
	}
	for role, file := range map[string]string{ServiceRole: ServiceSecretID, KeysRole: KeysSecretID} {
		if err := r.makeRole(ctx, root, role, filepath.Join(r.LoginDir, file)); err != nil {
			return fmt.Errorf("role %s: %w", role, err)
		}
	}
	return nil
}

func (r *run) makeRole(ctx context.Context, root *api.Client, role, file string) error {
	path := "auth/approle/role/" + role
	settings := map[string]any{"token_policies": role, "token_ttl": tokenLife, "token_max_ttl": maxTokenLife}
	if _, err := root.Logical().WriteWithContext(ctx, path, settings); err != nil {
		return err
	}
	if _, err := root.Logical().WriteWithContext(ctx, path+"/role-id", map[string]any{"role_id": role}); err != nil {
		return err
	}
	old, err := root.Logical().ListWithContext(ctx, path+"/secret-id")
	if err != nil {
		return err
	}
	got, err := root.Logical().WriteWithContext(ctx, path+"/secret-id", nil)
	if err != nil {
		return err
	}
	id, _ := got.Data["secret_id"].(string)
	if err := writePrivate(file, []byte(id)); err != nil {
		return err
	}
	return destroySecretIDs(ctx, root, path, old)
}

// destroySecretIDs ends the secret ids that a run before this one made: what they were written to has been replaced.
func destroySecretIDs(ctx context.Context, root *api.Client, path string, old *api.Secret) error {
	if old == nil {
		return nil
	}
	accessors, _ := old.Data["keys"].([]any)
	for _, accessor := range accessors {
		_, err := root.Logical().WriteWithContext(ctx, path+"/secret-id-accessor/destroy", map[string]any{"secret_id_accessor": accessor})
		if err != nil {
			return err
		}
	}
	return nil
}
