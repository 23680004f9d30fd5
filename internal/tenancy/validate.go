package tenancy

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/tokenkeep/tokenkeep/internal/errs"
	"github.com/tokenkeep/tokenkeep/internal/tenant"
)

// maxName is how many characters the name of a tenant or a key may have.
const maxName = 200

// checkName checks a name that people read. Errors: BAD_USER_INPUT.
func checkName(field, name string) error {
	switch {
	case strings.TrimSpace(name) == "":
		return errs.Input(field, "%s must not be empty", field)
	case !utf8.ValidString(name):
		return errs.Input(field, "%s is not valid UTF-8", field)
	case utf8.RuneCountInString(name) > maxName:
		return errs.Input(field, "%s is longer than %d characters", field, maxName)
	case strings.ContainsFunc(name, unicode.IsControl):
		return errs.Input(field, "%s must not contain line breaks or other control characters", field)
	default:
		return nil
	}
}

// check checks everything that does not depend on the caller. Errors: BAD_USER_INPUT.
func (in CreateKeyInput) check(now time.Time) error {
	if err := checkName("name", in.Name); err != nil {
		return err
	}
	if len(in.Scopes) == 0 {
		return errs.Input("scopes", "scopes must not be empty: a key without scopes could do nothing; choose among %s", scopeNames())
	}
	for i, scope := range in.Scopes {
		field := fmt.Sprintf("scopes[%d]", i)
		if !slices.Contains(tenant.Scopes(), scope) {
			return errs.Input(field, "%s is not a scope; choose among %s", field, scopeNames())
		}
		if slices.Contains(in.Scopes[:i], scope) {
			return errs.Input(field, "%s repeats %s; name every scope once", field, scope)
		}
	}
	if in.ExpiresAt != nil && !in.ExpiresAt.After(now) {
		return errs.Input("expiresAt", "expiresAt must lie in the future; leave it out for a key that does not expire")
	}
	return nil
}

func scopeNames() string {
	var names []string
	for _, scope := range tenant.Scopes() {
		names = append(names, string(scope))
	}
	return strings.Join(names, ", ")
}

// firstError returns the first error there is.
func firstError(all ...error) error {
	for _, err := range all {
		if err != nil {
			return err
		}
	}
	return nil
}
