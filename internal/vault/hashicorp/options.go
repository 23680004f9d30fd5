package hashicorp

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/tokenkeep/tokenkeep/internal/secret"
	"github.com/tokenkeep/tokenkeep/internal/vault"
)

// Defaults of Options.
const (
	// DefaultTransitMount and DefaultKVMount are where Vault itself puts the engines.
	DefaultTransitMount = "transit"
	DefaultKVMount      = "secret"
	DefaultTimeout      = 10 * time.Second
	DefaultRetries      = 4
	// DefaultKeyCache and DefaultKeyLife bound the unwrapped data keys in memory, in number and in time.
	DefaultKeyCache = 10_000
	DefaultKeyLife  = 5 * time.Minute
)

// Options say where Vault is, how to log in, and how long to wait.
type Options struct {
	// Address is Vault's URL: https://vault.example.com:8200, with a path where a proxy puts one in front.
	Address string
	// Namespace is sent with every request; empty sends none (Vault without Enterprise has none).
	Namespace string

	// CACert and CAPath are a file and a folder of certificates that Vault's must be signed by; with neither the system's
	// count. ClientCert and ClientKey are our own, for mTLS; the files are read again for each connection.
	// TLSServerName is the name that Vault's certificate must bear; empty takes it from Address.
	CACert, CAPath, ClientCert, ClientKey, TLSServerName string

	// TransitMount and KVMount are where the two engines are; empty means DefaultTransitMount and DefaultKVMount.
	TransitMount, KVMount string

	// Timeout bounds one request; zero means DefaultTimeout. Retries is how often a request that may be repeated is,
	// with growing, random pauses; zero means DefaultRetries, less than zero never.
	Timeout time.Duration
	Retries int

	// KeyCache is how many unwrapped data keys are kept in memory, KeyLife for how long; zero means the defaults, less
	// than zero keeps none.
	KeyCache int
	KeyLife  time.Duration

	// Login is how the service logs in.
	Login Login
	// KeyLogin, where it says anything, is a second login that creates and destroys tenant keys, so that the first one
	// need not be allowed to.
	KeyLogin Login

	// StartAway has Open succeed where Vault is sealed or nobody answers: the vault logs in when Vault is there. A login that
	// is refused still fails.
	StartAway bool

	// Logger is told of logins, renewals and what failed about them, never of a secret; nil is slog's default.
	Logger *slog.Logger
	// Now is the clock by which tokens expire; nil is time.Now.
	Now func() time.Time
}

// Login is a way to log in; exactly one member says something.
type Login struct {
	// Token is a token as it is. It is renewed where it can be; once it ends, everything is vault.ErrDenied.
	Token secret.Text
	// TokenFile names a file with a token, such as Vault Agent's sink; it is read again when it changes.
	TokenFile string
	// AppRole logs in with a role id and a secret id.
	AppRole *AppRole
	// Kubernetes logs in with the pod's service account.
	Kubernetes *Kubernetes
}

// AppRole is a login with a role id and a secret id.
type AppRole struct {
	RoleID string
	// SecretID or SecretIDFile holds the secret id; a file is read again at each login.
	SecretID     secret.Text
	SecretIDFile string
	// Wrapped says that what is given is a wrapping token. It is unwrapped once; the secret id within stays in memory for
	// later logins, until the file holds another one.
	Wrapped bool
	// Mount is where the login is; empty means approle.
	Mount string
}

// Kubernetes is a login with a service account's token.
type Kubernetes struct {
	Role string
	// JWTFile holds the token, which is read again at each login; empty means where Kubernetes puts it.
	JWTFile string
	// Mount is where the login is; empty means kubernetes.
	Mount string
}

// withDefaults fills in what zero means. Errors: vault.ErrInvalid.
func (o Options) withDefaults() (Options, error) {
	o.TransitMount = orElse(strings.Trim(o.TransitMount, "/"), DefaultTransitMount)
	o.KVMount = orElse(strings.Trim(o.KVMount, "/"), DefaultKVMount)
	o.Timeout = orElse(o.Timeout, DefaultTimeout)
	o.Retries = max(orElse(o.Retries, DefaultRetries), 0)
	o.KeyCache = max(orElse(o.KeyCache, DefaultKeyCache), 0)
	o.KeyLife = max(orElse(o.KeyLife, DefaultKeyLife), 0)
	o.Logger = orElse(o.Logger, slog.Default())
	if o.Now == nil {
		o.Now = time.Now
	}
	return o, errors.Join(o.check(), o.Login.check("Login", false), o.KeyLogin.check("KeyLogin", true))
}

func (o Options) check() error {
	u, err := url.Parse(o.Address)
	switch {
	case err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "":
		return fmt.Errorf("%w: the address of Vault must be a URL such as https://vault.example.com:8200", vault.ErrInvalid)
	case u.User != nil:
		return fmt.Errorf("%w: the address of Vault must not hold a user or a password", vault.ErrInvalid)
	case (o.ClientCert == "") != (o.ClientKey == ""):
		return fmt.Errorf("%w: a client certificate and its key are given together or not at all", vault.ErrInvalid)
	case o.Timeout < 0:
		return fmt.Errorf("%w: a timeout of %v", vault.ErrInvalid, o.Timeout)
	}
	return nil
}

// check counts the ways given; none is fine where the login is optional.
func (l Login) check(field string, optional bool) error {
	given := 0
	for _, is := range []bool{!l.Token.IsZero(), l.TokenFile != "", l.AppRole != nil, l.Kubernetes != nil} {
		if is {
			given++
		}
	}
	switch {
	case given == 0 && optional:
		return nil
	case given != 1:
		return fmt.Errorf("%w: %s wants exactly one of token, token file, AppRole and Kubernetes, and has %d", vault.ErrInvalid, field, given)
	case l.AppRole != nil:
		return l.AppRole.check(field)
	case l.Kubernetes != nil && l.Kubernetes.Role == "":
		return fmt.Errorf("%w: %s with Kubernetes wants a role", vault.ErrInvalid, field)
	}
	return nil
}

func (a AppRole) check(field string) error {
	if a.RoleID == "" || a.SecretID.IsZero() == (a.SecretIDFile == "") {
		return fmt.Errorf("%w: %s with AppRole wants a role id, and a secret id or the file of one", vault.ErrInvalid, field)
	}
	return nil
}

// orElse returns v, or otherwise where v is zero.
func orElse[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}
