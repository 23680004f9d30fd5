package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strings"

	"github.com/hashicorp/vault/api"

	"github.com/tokenkeep/tokenkeep/internal/secret"
	"github.com/tokenkeep/tokenkeep/internal/vault"
	"github.com/tokenkeep/tokenkeep/internal/vault/hashicorp"
)

// vaultAddress says where HashiCorp Vault is, and where its engines are. Where Vault's own programs have a variable, it is
// the same here.
type vaultAddress struct {
	Addr          string `name:"vault-addr" env:"VAULT_ADDR" placeholder:"URL" help:"HashiCorp Vault's address. Its token is in VAULT_TOKEN, unless one of the logins below is set."`
	Namespace     string `name:"vault-namespace" env:"VAULT_NAMESPACE" placeholder:"NAME" help:"Namespace, with Vault Enterprise."`
	CACert        string `name:"vault-ca-cert" env:"VAULT_CACERT" placeholder:"FILE" help:"Certificate that Vault's must be signed by; left out, the system's count."`
	CAPath        string `name:"vault-ca-path" env:"VAULT_CAPATH" placeholder:"DIR" help:"Folder of such certificates."`
	ClientCert    string `name:"vault-client-cert" env:"VAULT_CLIENT_CERT" placeholder:"FILE" help:"Our own certificate, for mTLS."`
	ClientKey     string `name:"vault-client-key" env:"VAULT_CLIENT_KEY" placeholder:"FILE" help:"Its key."`
	TLSServerName string `name:"vault-tls-server-name" env:"VAULT_TLS_SERVER_NAME" placeholder:"NAME" help:"Name that Vault's certificate bears, where it is not the address's."`
	TransitMount  string `name:"vault-transit-mount" env:"TOKENKEEP_VAULT_TRANSIT_MOUNT" default:"transit" placeholder:"PATH" help:"Where the transit engine is (${default})."`
	KVMount       string `name:"vault-kv-mount" env:"TOKENKEEP_VAULT_KV_MOUNT" default:"secret" placeholder:"PATH" help:"Where the KV version 2 engine is (${default})."`
}

// hashicorpSettings say where HashiCorp Vault is and how to log in. A token has no flag: others on the machine can read
// command lines.
type hashicorpSettings struct {
	vaultAddress
	TokenFile        string `name:"vault-token-file" env:"TOKENKEEP_VAULT_TOKEN_FILE" placeholder:"FILE" help:"File with a token that somebody else keeps fresh, such as Vault Agent's sink."`
	RoleID           string `name:"vault-role-id" env:"TOKENKEEP_VAULT_ROLE_ID" placeholder:"ID" help:"Role id, to log in by AppRole."`
	SecretIDFile     string `name:"vault-secret-id-file" env:"TOKENKEEP_VAULT_SECRET_ID_FILE" placeholder:"FILE" help:"File with the role's secret id."`
	Wrapped          bool   `name:"vault-secret-id-wrapped" env:"TOKENKEEP_VAULT_SECRET_ID_WRAPPED" help:"What the file holds is a wrapping token of the secret id."`
	KubernetesRole   string `name:"vault-kubernetes-role" env:"TOKENKEEP_VAULT_KUBERNETES_ROLE" placeholder:"ROLE" help:"Role, to log in by Kubernetes."`
	JWTFile          string `name:"vault-kubernetes-jwt-file" env:"TOKENKEEP_VAULT_KUBERNETES_JWT_FILE" placeholder:"FILE" help:"The service account's token; left out, where Kubernetes puts it."`
	KeysRoleID       string `name:"vault-keys-role-id" env:"TOKENKEEP_VAULT_KEYS_ROLE_ID" placeholder:"ID" help:"Role id of a second AppRole, which alone creates and destroys tenants' keys; left out, the first does."`
	KeysSecretIDFile string `name:"vault-keys-secret-id-file" env:"TOKENKEEP_VAULT_KEYS_SECRET_ID_FILE" placeholder:"FILE" help:"File with that role's secret id."`
	AuthMount        string `name:"vault-auth-mount" env:"TOKENKEEP_VAULT_AUTH_MOUNT" placeholder:"PATH" help:"Where the login is; left out, approle or kubernetes."`
}

// check finds what is wrong with the address by itself.
func (s vaultAddress) check() error {
	switch {
	case s.Addr == "":
		return missing("vault-addr", "VAULT_ADDR", "HashiCorp Vault's address, such as https://vault.example.com:8200")
	case !strings.HasPrefix(s.Addr, "https://") && !strings.HasPrefix(s.Addr, "http://"):
		return errors.New("VAULT_ADDR is not an address: set it to HashiCorp Vault's, such as https://vault.example.com:8200")
	case (s.ClientCert == "") != (s.ClientKey == ""):
		return errors.New("VAULT_CLIENT_CERT and VAULT_CLIENT_KEY go together: set both, or none where Vault does not ask for a certificate")
	}
	if err := s.secure(&api.Config{HttpClient: &http.Client{Transport: newVaultTransport()}}); err != nil {
		return fmt.Errorf("correct VAULT_CACERT, VAULT_CAPATH, VAULT_CLIENT_CERT and VAULT_CLIENT_KEY: %w", err)
	}
	return nil
}

func newVaultTransport() *http.Transport {
	return &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}}
}

// secure puts the certificates that are named into a client's configuration.
func (s vaultAddress) secure(config *api.Config) error {
	return config.ConfigureTLS(&api.TLSConfig{CACert: s.CACert, CAPath: s.CAPath, ClientCert: s.ClientCert, ClientKey: s.ClientKey, TLSServerName: s.TLSServerName})
}

// client is a client of Vault's library without a token, for what needs no login. release closes its connections.
func (s vaultAddress) client() (client *api.Client, release func(), err error) {
	transport := newVaultTransport()
	config := &api.Config{Address: s.Addr, HttpClient: &http.Client{Transport: transport}}
	if err = s.secure(config); err != nil {
		return nil, nil, err
	}
	if client, err = api.NewClient(config); err != nil {
		return nil, nil, err
	}
	client.SetMaxRetries(0)
	client.ClearToken()
	client.ClearNamespace()
	return client, transport.CloseIdleConnections, nil
}

// check finds what is wrong with the settings by themselves.
func (s hashicorpSettings) check() error {
	if err := s.vaultAddress.check(); err != nil {
		return err
	}
	switch {
	case s.RoleID == "" && s.SecretIDFile != "":
		return missing("vault-role-id", "TOKENKEEP_VAULT_ROLE_ID", "the role that TOKENKEEP_VAULT_SECRET_ID_FILE is of: vault read auth/approle/role/NAME/role-id")
	case s.RoleID != "" && s.SecretIDFile == "":
		return missing("vault-secret-id-file", "TOKENKEEP_VAULT_SECRET_ID_FILE", "a file with a secret id of the role: vault write -f auth/approle/role/NAME/secret-id")
	case (s.KeysRoleID == "") != (s.KeysSecretIDFile == ""):
		return errors.New("TOKENKEEP_VAULT_KEYS_ROLE_ID and TOKENKEEP_VAULT_KEYS_SECRET_ID_FILE go together: set both, or none where the first login makes tenants' keys too")
	}
	switch ways := s.ways(); len(ways) {
	case 0:
		return errors.New("nothing says how to log in to HashiCorp Vault: set VAULT_TOKEN, TOKENKEEP_VAULT_TOKEN_FILE, " +
			"TOKENKEEP_VAULT_ROLE_ID with TOKENKEEP_VAULT_SECRET_ID_FILE, or TOKENKEEP_VAULT_KUBERNETES_ROLE")
	case 1:
		return nil
	default:
		return fmt.Errorf("there are several ways to log in to HashiCorp Vault (%s): set one of them", strings.Join(ways, ", "))
	}
}

// token is VAULT_TOKEN, which counts where no other login is set: it is in the environment of many who use Vault by hand.
func (s hashicorpSettings) token() secret.Text {
	if s.TokenFile != "" || s.RoleID != "" || s.KubernetesRole != "" {
		return secret.Text{}
	}
	return secret.New(os.Getenv("VAULT_TOKEN"))
}

// ways are the variables that say how to log in.
func (s hashicorpSettings) ways() []string {
	var ways []string
	for _, way := range []struct {
		variable string
		set      bool
	}{
		{"VAULT_TOKEN", !s.token().IsZero()}, {"TOKENKEEP_VAULT_TOKEN_FILE", s.TokenFile != ""},
		{"TOKENKEEP_VAULT_ROLE_ID", s.RoleID != ""}, {"TOKENKEEP_VAULT_KUBERNETES_ROLE", s.KubernetesRole != ""},
	} {
		if way.set {
			ways = append(ways, way.variable)
		}
	}
	return ways
}

// login is the way that is set.
func (s hashicorpSettings) login() hashicorp.Login {
	switch {
	case s.RoleID != "":
		return hashicorp.Login{AppRole: &hashicorp.AppRole{RoleID: s.RoleID, SecretIDFile: s.SecretIDFile, Wrapped: s.Wrapped, Mount: s.AuthMount}}
	case s.KubernetesRole != "":
		return hashicorp.Login{Kubernetes: &hashicorp.Kubernetes{Role: s.KubernetesRole, JWTFile: s.JWTFile, Mount: s.AuthMount}}
	case s.TokenFile != "":
		return hashicorp.Login{TokenFile: s.TokenFile}
	default:
		return hashicorp.Login{Token: s.token()}
	}
}

// keyLogin is the second login, which says nothing where there is none.
func (s hashicorpSettings) keyLogin() hashicorp.Login {
	if s.KeysRoleID == "" {
		return hashicorp.Login{}
	}
	role := hashicorp.AppRole{RoleID: s.KeysRoleID, SecretIDFile: s.KeysSecretIDFile, Wrapped: s.Wrapped}
	if s.RoleID != "" {
		role.Mount = s.AuthMount // otherwise that is where another kind of login is
	}
	return hashicorp.Login{AppRole: &role}
}

// open logs in. With startAway a Vault that is sealed or does not answer is waited for, behind the caller's back; one that
// refuses the login never is.
func (s hashicorpSettings) open(ctx context.Context, log *slog.Logger, startAway bool) (vault.Movable, error) {
	v, err := hashicorp.Open(ctx, hashicorp.Options{
		Address: s.Addr, Namespace: s.Namespace, CACert: s.CACert, CAPath: s.CAPath, ClientCert: s.ClientCert, ClientKey: s.ClientKey,
		TLSServerName: s.TLSServerName, TransitMount: s.TransitMount, KVMount: s.KVMount, Login: s.login(), Logger: log,
		KeyLogin: s.keyLogin(), StartAway: startAway,
	})
	switch {
	case errors.Is(err, vault.ErrDenied):
		return nil, fmt.Errorf("%w: HashiCorp Vault refuses the login by %s; see whether it has expired, or belongs to another Vault", err, s.ways()[0])
	case errors.Is(err, vault.ErrUnavailable):
		return nil, fmt.Errorf("%w: see whether it runs and is unsealed: VAULT_ADDR=%s vault status", err, s.Addr)
	case err != nil:
		return nil, err
	}
	return v, nil
}
