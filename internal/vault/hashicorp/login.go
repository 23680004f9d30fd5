package hashicorp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/hashicorp/vault/api/auth/kubernetes"

	"github.com/tokenkeep/tokenkeep/internal/secret"
	"github.com/tokenkeep/tokenkeep/internal/vault"
)

// noToken is what a client carries before it has logged in.
var noToken secret.Text

// ticket is what a login gives.
type ticket struct {
	token secret.Text
	// life is how long the token lives from now; zero without end.
	life      time.Duration
	renewable bool
	// ours is true where this process logged in for the token, and may give it back.
	ours bool
}

// way is a way to log in. It is used by one login at a time; changed may be called beside it.
type way interface {
	fmt.Stringer
	login(ctx context.Context, c *api.Client) (ticket, error)
	// changed reports whether another token lies ready than the one of the last login.
	changed() bool
	// again reports whether another login gives another token.
	again() bool
}

// newWay returns the way that a checked Login names.
func (v *Vault) newWay(l Login) (way, error) {
	switch {
	case l.AppRole != nil:
		return &appRoleWay{AppRole: *l.AppRole}, nil
	case l.Kubernetes != nil:
		return kubernetesWay{*l.Kubernetes}, nil
	case l.TokenFile != "":
		return &tokenFileWay{v: v, path: l.TokenFile}, nil
	case !l.Token.IsZero():
		return tokenWay{v: v, token: l.Token}, nil
	default:
		return nil, fmt.Errorf("%w: no login", vault.ErrInvalid)
	}
}

// loginError adds the sentinel: what Vault refuses at a login is a fault of the installation, whatever the status.
func loginError(err error) error {
	if hasSentinel(err) {
		return err
	}
	var sent *sentError
	if _, ok := asAnswer(err); !ok && !errors.As(err, &sent) {
		err = requestError("the request", err) // the library's own
	}
	e, ok := asAnswer(err)
	if ok && e.status < http.StatusInternalServerError && e.status != http.StatusTooManyRequests && e.status != http.StatusPreconditionFailed {
		return fmt.Errorf("%w: %w", vault.ErrDenied, err)
	}
	return sentinel(err)
}

// lookupSelf asks what becomes of the token that asks.
var lookupSelf = request{method: http.MethodGet, path: "auth/token/lookup-self"}

// tokenWay uses a token as it is.
type tokenWay struct {
	v     *Vault
	token secret.Text
}

func (w tokenWay) String() string { return "a token" }
func (w tokenWay) changed() bool  { return false }
func (w tokenWay) again() bool    { return false }

// login asks Vault how long the token lives. A token that may not even ask is taken as one without end.
func (w tokenWay) login(ctx context.Context, _ *api.Client) (ticket, error) {
	c, err := w.v.newClient(w.token)
	if err != nil {
		return ticket{}, err
	}
	var is struct {
		TTL       int64   `json:"ttl"`
		Renewable bool    `json:"renewable"`
		Ends      *string `json:"expire_time"`
	}
	err = w.v.send(ctx, c, lookupSelf, &is)
	if e, ok := asAnswer(err); ok && e.status == http.StatusForbidden && !e.says("invalid token", "bad token") {
		return ticket{token: w.token}, nil
	}
	if err != nil {
		return ticket{}, err
	}
	if is.Ends == nil {
		return ticket{token: w.token}, nil
	}
	return ticket{token: w.token, life: lifeOf(is.TTL), renewable: is.Renewable}, nil
}

// lifeOf is a life that Vault tells in seconds, of which less than one is told as none.
func lifeOf(seconds int64) time.Duration { return time.Duration(max(seconds, 1)) * time.Second }

// tokenFileWay uses the token in a file, which somebody else keeps fresh.
type tokenFileWay struct {
	v    *Vault
	path string

	mu sync.Mutex
	// used is the file as it was at the last login.
	used stamp
}

// stamp tells whether a file is another one than before, at the cost of one stat.
type stamp struct {
	size    int64
	changed time.Time
}

func stampOf(path string) (stamp, error) {
	info, err := os.Stat(path)
	if err != nil {
		return stamp{}, err
	}
	return stamp{size: info.Size(), changed: info.ModTime()}, nil
}

func (w *tokenFileWay) String() string { return "the token in " + w.path }
func (w *tokenFileWay) again() bool    { return false }

// changed is false while the file cannot be seen: it may be about to be replaced, and the old token still works.
func (w *tokenFileWay) changed() bool {
	now, err := stampOf(w.path)
	w.mu.Lock()
	defer w.mu.Unlock()
	return err == nil && now != w.used
}

func (w *tokenFileWay) login(ctx context.Context, c *api.Client) (ticket, error) {
	// The stamp comes first: a file that changes in between is read once more.
	now, err := stampOf(w.path)
	if err != nil {
		return ticket{}, fmt.Errorf("%w: %w", vault.ErrDenied, err)
	}
	token, err := readSecret(w.path)
	if err != nil {
		return ticket{}, err
	}
	t, err := tokenWay{v: w.v, token: token}.login(ctx, c)
	if err == nil {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.used = now
	}
	return t, err
}

// readSecret reads a file with one line. Errors: vault.ErrDenied: without it nobody lets us in.
func readSecret(path string) (secret.Text, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return secret.Text{}, fmt.Errorf("%w: %w", vault.ErrDenied, err)
	}
	line := bytes.TrimSpace(content)
	if len(line) == 0 {
		return secret.Text{}, fmt.Errorf("%w: %s is empty", vault.ErrDenied, path)
	}
	return secret.New(string(line)), nil
}

// kubernetesWay logs in with the service account's token, as its file has it now.
type kubernetesWay struct{ Kubernetes }

func (w kubernetesWay) String() string { return "Kubernetes as role " + w.Role }
func (w kubernetesWay) changed() bool  { return false }
func (w kubernetesWay) again() bool    { return true }

func (w kubernetesWay) login(ctx context.Context, c *api.Client) (ticket, error) {
	options := []kubernetes.LoginOption{kubernetes.WithMountPath(orElse(w.Mount, "kubernetes"))}
	if w.JWTFile != "" {
		options = append(options, kubernetes.WithServiceAccountTokenPath(w.JWTFile))
	}
	method, err := kubernetes.NewKubernetesAuth(w.Role, options...)
	if err != nil {
		return ticket{}, fmt.Errorf("%w: %w", vault.ErrDenied, err)
	}
	return ticketOf(method.Login(ctx, c))
}

// ticketOf reads the answer to a login.
func ticketOf(got *api.Secret, err error) (ticket, error) {
	if err != nil {
		return ticket{}, err
	}
	if got == nil || got.Auth == nil || got.Auth.ClientToken == "" {
		return ticket{}, fmt.Errorf("%w: the answer to the login holds no token", vault.ErrDenied)
	}
	return ticket{
		token: secret.New(got.Auth.ClientToken), life: lifeOf(int64(got.Auth.LeaseDuration)), renewable: got.Auth.Renewable, ours: true,
	}, nil
}
