package main

import (
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/tokenkeep/tokenkeep/internal/vault/vaulttest/server"
)

// readOnly is a policy that lets its holder look and do nothing.
const readOnly = `
path "secret/*" { capabilities = ["read", "list"] }
path "transit/*" { capabilities = ["read", "list"] }
path "transit/hmac/*" { capabilities = ["update"] }`

// TestVaultScripts runs the scripts that need HashiCorp Vault, against a real server. $ROOT is its root token, $READER a
// token that may only read; $ROLE is an AppRole, whose secret id is $SECRET_ID. $SEALED is a server that is sealed, $LATE one that is until the
// one script that uses it says "unseal", and $NEW one that nobody has initialised, which one script uses, and stops and starts by
// "restart". At $EMPTY is a server without a pepper, with the root token $EMPTY_ROOT.
func TestVaultScripts(t *testing.T) {
	vault := server.Start(t, server.Options{})
	vault.Policy(t, "reader", readOnly)
	vault.Policy(t, "service", `path "*" { capabilities = ["create", "read", "update", "delete", "list"] }`)
	vault.EnableAuth(t, "approle", "approle")
	role := vault.AppRole(t, "approle", "tokenkeep", map[string]any{"token_policies": "service", "token_ttl": "1h"})
	secretID := vault.SecretID(t, "approle", "tokenkeep")
	reader := vault.NewToken(t, 0, "reader")
	sealed := server.Start(t, server.Options{Dir: t.TempDir()})
	sealed.Seal(t)
	late := server.Start(t, server.Options{Dir: t.TempDir()})
	late.Seal(t)
	fresh := server.Start(t, server.Options{Dir: t.TempDir(), New: true})
	commands := scriptCommands()
	commands["restart"] = func(*testscript.TestScript, bool, []string) { fresh.Stop(t); fresh.Boot(t) }
	commands["unseal"] = func(*testscript.TestScript, bool, []string) { late.Unseal(t) }
	empty := server.Start(t, server.Options{NoPepper: true})
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script/vault", Cmds: commands, RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			for name, value := range map[string]string{
				"DATABASE": "sqlite://" + filepath.Join(e.WorkDir, "tokenkeep.db"), "ADDRESS": vault.Address(), "SEALED": sealed.Address(),
				"EMPTY": empty.Address(), "EMPTY_ROOT": empty.Token(), "ROOT": vault.Token(), "NEW": fresh.Address(), "LATE": late.Address(), "LATE_ROOT": late.Token(), "READER": reader, "ROLE": role, "SECRET_ID": secretID,
			} {
				e.Setenv(name, value)
			}
			return clean(e)
		},
	})
}
