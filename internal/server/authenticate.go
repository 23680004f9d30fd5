package server

import (
	"log/slog"
	"net/http"
	"strings"

	"github.com/tokenkeep/tokenkeep/internal/errs"
	"github.com/tokenkeep/tokenkeep/internal/id"
	"github.com/tokenkeep/tokenkeep/internal/secret"
	"github.com/tokenkeep/tokenkeep/internal/tenant"
)

// tenantHeader names the tenant that an operator acts in.
const tenantHeader = "Tokenkeep-Tenant"

// authenticated puts the caller into the context. A request without a key goes on as nobody, which is enough to read the
// schema; one whose key does not open goes no further. The header Authorization is the only place where a key is looked
// for: addresses are logged and remembered on the way.
func authenticated(callers Authenticator, log *slog.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.Header.Values("Authorization")) == 0 {
			next.ServeHTTP(w, r)
			return
		}
		v, err := viewer(callers, r)
		if err != nil {
			refuseCaller(w, r, log, err)
			return
		}
		callerOf(r.Context()).viewer = v
		next.ServeHTTP(w, r.WithContext(tenant.NewContext(r.Context(), v)))
	})
}

// viewer is who the headers say is calling.
func viewer(callers Authenticator, r *http.Request) (*tenant.Viewer, error) {
	key, err := presented(r)
	if err != nil {
		return nil, err
	}
	v, err := callers.Authenticate(r.Context(), key)
	if err != nil {
		return nil, err
	}
	named := r.Header.Values(tenantHeader)
	switch len(named) {
	case 0:
		return v, nil
	case 1:
		u, err := id.Tenant.Parse(strings.TrimSpace(named[0]))
		if err != nil {
			return nil, errs.Input(tenantHeader, "the header %s must be a tenant's id, such as ten_01h455vb4pex5vsknk084sn02q", tenantHeader)
		}
		return callers.ActIn(r.Context(), v, u)
	default:
		return nil, errs.Input(tenantHeader, "the header %s is there more than once", tenantHeader)
	}
}

// presented is the key of the header Authorization. Errors: UNAUTHENTICATED.
func presented(r *http.Request) (secret.Text, error) {
	values := r.Header.Values("Authorization")
	scheme, key, _ := strings.Cut(strings.TrimSpace(values[0]), " ")
	key = strings.TrimSpace(key)
	known := strings.EqualFold(scheme, "Bearer") || strings.EqualFold(scheme, "Token")
	if len(values) != 1 || !known || key == "" || strings.ContainsAny(key, " \t") {
		return secret.Text{}, errs.New(errs.Unauthenticated, "the header Authorization must be: Bearer, a space and an API key")
	}
	return secret.New(key), nil
}

// refuseCaller answers a request that goes no further.
func refuseCaller(w http.ResponseWriter, r *http.Request, log *slog.Logger, err error) {
	status := http.StatusInternalServerError
	level := slog.LevelDebug
	switch errs.KindOf(err) {
	case errs.Unauthenticated:
		status = http.StatusUnauthorized
		w.Header().Set("WWW-Authenticate", `Bearer realm="tokenkeep", error="invalid_token"`)
	case errs.NotFound:
		status = http.StatusNotFound
	case errs.BadUserInput:
		status = http.StatusBadRequest
	case errs.VaultUnavailable:
		status, level = http.StatusServiceUnavailable, slog.LevelWarn
	default:
		if r.Context().Err() == nil {
			level = slog.LevelError
		}
	}
	log.LogAttrs(r.Context(), level, "refusing a caller", slog.String("request", tenant.RequestFrom(r.Context()).ID), slog.Any("error", err))
	refuse(w, r, status, err)
}
