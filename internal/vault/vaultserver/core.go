package main

import (
	"slices"

	log "github.com/hashicorp/go-hclog"
	kubernetes "github.com/hashicorp/vault-plugin-auth-kubernetes"
	kv "github.com/hashicorp/vault-plugin-secrets-kv"
	"github.com/hashicorp/vault/builtin/credential/approle"
	"github.com/hashicorp/vault/builtin/logical/transit"
	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/sdk/physical"
	"github.com/hashicorp/vault/sdk/physical/file"
	"github.com/hashicorp/vault/sdk/physical/inmem"
	"github.com/hashicorp/vault/vault"
)

// engines and logins are what the server has beside what every core has.
var (
	engines = map[string]logical.Factory{"kv": kv.Factory, "transit": transit.Factory}
	logins  = map[string]logical.Factory{"approle": approle.Factory, "kubernetes": kubernetes.Factory}
)

// newCore makes a sealed server.
func newCore(s settings, address string, logger log.Logger) (*vault.Core, error) {
	storage, kind, err := newStorage(s.storage, logger)
	if err != nil {
		return nil, err
	}
	scheme := "http://"
	if s.tls.cert != "" {
		scheme = "https://"
	}
	return vault.NewCore(&vault.CoreConfig{
		Physical: storage, StorageType: kind, DisableMlock: true, DisableCache: false,
		LogicalBackends: engines, CredentialBackends: logins, BuiltinRegistry: registry{},
		Logger: logger, LogLevel: "warn", RedirectAddr: scheme + address,
		DefaultLeaseTTL: s.lease, MaxLeaseTTL: max(s.lease, 32*24*3600e9),
	})
}

// newStorage opens the storage and says what kind it is.
func newStorage(folder string, logger log.Logger) (physical.Backend, string, error) {
	if folder == "" {
		b, err := inmem.NewInmem(nil, logger)
		return b, "inmem", err
	}
	b, err := file.NewFileBackend(map[string]string{"path": folder}, logger)
	return b, "file", err
}

// registry tells the core which plugins are built in: those of engines and logins. Vault's own registry would bring all
// of them, and every cloud's client library with them.
type registry struct{}

func (registry) of(kind consts.PluginType) map[string]logical.Factory {
	switch kind {
	case consts.PluginTypeSecrets:
		return engines
	case consts.PluginTypeCredential:
		return logins
	default:
		return nil
	}
}

// Contains implements plugincatalog.BuiltinRegistry.
func (r registry) Contains(name string, kind consts.PluginType) bool {
	_, ok := r.of(kind)[name]
	return ok
}

// Get implements plugincatalog.BuiltinRegistry.
func (r registry) Get(name string, kind consts.PluginType) (func() (any, error), bool) {
	factory, ok := r.of(kind)[name]
	return func() (any, error) { return factory, nil }, ok
}

// Keys implements plugincatalog.BuiltinRegistry.
func (r registry) Keys(kind consts.PluginType) []string {
	var names []string
	for name := range r.of(kind) {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// DeprecationStatus implements plugincatalog.BuiltinRegistry.
func (r registry) DeprecationStatus(name string, kind consts.PluginType) (consts.DeprecationStatus, bool) {
	return consts.Supported, r.Contains(name, kind)
}

// IsBuiltinEntPlugin implements plugincatalog.BuiltinRegistry.
func (registry) IsBuiltinEntPlugin(string, consts.PluginType) bool { return false }
