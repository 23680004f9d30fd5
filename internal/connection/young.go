package connection

import (
	"context"
	"fmt"
	"time"

	"github.com/tokenkeep/tokenkeep/ent"
	enttenant "github.com/tokenkeep/tokenkeep/ent/tenant"
	"github.com/tokenkeep/tokenkeep/internal/errs"
	"github.com/tokenkeep/tokenkeep/internal/grant"
)

// youth is for how long after a refresh no reader's want of life brings about the next one: half of a token's life, a
// minute at most. A token that has too little life left when it is that young will not get more by being replaced; it came
// late, or the provider's tokens are that short. The last refresh is in the row, so that all replicas agree.
func youth(row *ent.Connection) time.Duration {
	life := time.Duration(row.AccessTokenLife) * time.Second
	return max(retrySoon, min(reportInterval, life/2))
}

// stillYoung is how much of the youth of the row's token is left; zero or less where it is over. A refresh in the future
// was made by a process whose clock is ahead: nobody waits for that.
func (s *Service) stillYoung(row *ent.Connection) time.Duration {
	if row.LastRefreshedAt == nil || s.now().Before(*row.LastRefreshedAt) {
		return 0
	}
	return row.LastRefreshedAt.Add(youth(row)).Sub(s.now())
}

// asItIs answers with a token that was refreshed a moment ago: there is none with more life.
func (s *Service) asItIs(row *ent.Connection, o grant.Opened) Result {
	if living(o, s.now()) {
		return s.handOut(row, o)
	}
	return unavailableResult(row, codeProvider, "the provider's tokens are over before they can be used; is its expires_in right, and does it answer in time?", s.stillYoung(row))
}

// living reports whether a token set has a token that has not expired.
func living(o grant.Opened, now time.Time) bool {
	return !o.Set.AccessToken.IsZero() && (o.Set.ExpiresAt.IsZero() || now.Before(o.Set.ExpiresAt))
}

// stillActive fails where the caller's tenant was suspended after the caller was authenticated: a reader may have waited.
func (s *Service) stillActive(ctx context.Context, row *ent.Connection) error {
	active, err := s.db.Ent.Tenant.Query().Where(enttenant.ID(row.TenantID), enttenant.StateEQ(enttenant.StateACTIVE)).Exist(ctx)
	if err != nil {
		return fmt.Errorf("reading the tenant: %w", err)
	}
	if !active {
		return errs.New(errs.Unauthenticated, "the tenant was suspended while its credential was refreshed")
	}
	return nil
}
