package connection

import (
	"slices"
	"strings"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/internal/errs"
	"github.com/tokenkeep/tokenkeep/internal/zoom"
)

// MissingScopes returns the scopes that the app asks for and the grant lacks.
func MissingScopes(c *ent.Connection, a *ent.OAuthApp) []string { return lacking(c.Scopes, a.Scopes) }

func lacking(granted, asked []string) []string {
	missing := []string{}
	for _, s := range asked {
		if !slices.Contains(granted, s) {
			missing = append(missing, s)
		}
	}
	return missing
}

// capability is something a connection can be declared to do, and what that takes.
type capability struct {
	field, name string
	needs       [][]string
}

var (
	localRecording = capability{field: "isLocalRecordingTokenSupported", name: "local recording tokens", needs: zoom.LocalRecordingScopes()}
	onBehalf       = capability{field: "isOnBehalfTokenSupported", name: "on-behalf tokens", needs: zoom.OnBehalfScopes()}
)

// check refuses a capability that the granted scopes do not carry.
func (c capability) check(wanted *bool, granted []string) *errs.Error {
	if wanted == nil || !*wanted {
		return nil
	}
	missing := zoom.Missing(granted, c.needs)
	if len(missing) == 0 {
		return nil
	}
	return errs.New(errs.ReauthorizationRequired, "%s need scopes that the user has not granted: %s; add them to the app at the provider and let the user consent again",
		c.name, strings.Join(missing, ", ")).WithField(c.field)
}
