package setup

import (
	_ "embed"
	"strings"
)

// The two roles and their policies bear these names.
const (
	ServiceRole = "tokenkeep"
	KeysRole    = "tokenkeep-keys"
)

//go:embed tokenkeep.hcl
var servicePolicy string

//go:embed tokenkeep-keys.hcl
var keysPolicy string

// Policies are the policies of docs/vault.md, by name, for engines at these mounts.
func Policies(transitMount, kvMount string) map[string]string {
	at := strings.NewReplacer(`path "transit/`, `path "`+transitMount+`/`, `path "secret/`, `path "`+kvMount+`/`)
	return map[string]string{ServiceRole: at.Replace(servicePolicy), KeysRole: at.Replace(keysPolicy)}
}
