package connection

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/ent/connection"
	"github.com/tokenkeep/tokenkeep/ent/oauthapp"
	"github.com/tokenkeep/tokenkeep/internal/database"
	"github.com/tokenkeep/tokenkeep/internal/errs"
	"github.com/tokenkeep/tokenkeep/internal/grant"
	"github.com/tokenkeep/tokenkeep/internal/oauth"
	"github.com/tokenkeep/tokenkeep/internal/tenant"
)

// Ending says how a refresh ahead of need ended, as far as it tells of the provider.
type Ending string

// The endings.
const (
	// Renewed: a newer token set is stored.
	Renewed Ending = "RENEWED"
	// Refused: the provider answered and gave no token set; what follows is in the row.
	Refused Ending = "REFUSED"
	// Limited: the provider asked for fewer requests.
	Limited Ending = "LIMITED"
	// Troubled: the provider did not answer, or not as one that is well.
	Troubled Ending = "TROUBLED"
	// Skipped: nothing was sent: somebody else is at it, there is nothing to spend, or the connection is gone.
	Skipped Ending = "SKIPPED"
)

// busyAgain is when a refresh that somebody else is making is looked at again, if that one came to nothing.
const busyAgain = 30 * time.Second

// faultAgain is when a refresh that a fault of our own kept from being made is due again.
const faultAgain = 10 * time.Second

// RefreshDue makes a refresh that ClaimDue has taken, and ends the claim. The error is our own side's: a vault or a
// database that does not answer, a service that stops. Nothing was spent then, the connection is as it was, and what would
// be tried next may fail as well.
func (s *Service) RefreshDue(ctx context.Context, d Due) (Ending, error) {
	ctx = tenant.System(ctx, d.Tenant)
	row, err := s.find(ctx, d.Connection)
	if errs.Is(err, errs.NotFound) {
		return Skipped, s.keepProbe(ctx, d.Lane.App, d.Probe)
	}
	if err != nil {
		return Skipped, s.handBack(ctx, d, err)
	}
	row.Generation = d.Generation // where it has moved meanwhile, nothing is spent
	out, err := s.shareRefresh(ctx, ctx, row, false)
	ending, fault := s.conclude(ctx, d, row, out, err)
	return ending, errors.Join(fault, s.keepProbe(ctx, d.Lane.App, d.Probe && !tellsOfApp(out, err)))
}

// conclude ends the claim as the refresh ended.
func (s *Service) conclude(ctx context.Context, d Due, row *ent.Connection, out grant.Refreshed, err error) (Ending, error) {
	switch {
	case errors.Is(err, grant.ErrBusy):
		return Skipped, s.later(ctx, d, busyAgain)
	case errors.Is(err, grant.ErrNothingToSpend):
		return Skipped, s.dueAgain(ctx, d, nil)
	case errors.Is(err, grant.ErrGone):
		return Skipped, nil
	case errs.Is(err, errs.AppMisconfigured): // its secret does not open, which no provider was asked about
		return Skipped, s.later(ctx, d, probeWait(0, s.jitter()))
	case err != nil:
		return Skipped, s.handBack(ctx, d, err)
	}
	return s.endDue(ctx, d, row, out)
}

// endDue tells the ending, and ends the claim where no settlement has.
func (s *Service) endDue(ctx context.Context, d Due, row *ent.Connection, out grant.Refreshed) (Ending, error) {
	v := out.Verdict
	switch {
	case v == nil && d.Probe:
		return Renewed, s.trust(ctx, row.AppID)
	case v == nil:
		return Renewed, nil
	case v.Reason == string(oauth.ReasonRateLimited):
		return Limited, s.standing(ctx, d, v)
	case v.Class == grant.ClassUnavailable:
		return Troubled, s.standing(ctx, d, v)
	default:
		return Refused, s.standing(ctx, d, v)
	}
}

// standing ends the claim where the verdict is one that stood before: then no settlement has ended it.
func (s *Service) standing(ctx context.Context, d Due, v *grant.Verdict) error {
	if v.Disconnect {
		return s.dueAgain(ctx, d, nil)
	}
	next := v.NextAttemptAt
	return s.dueAgain(ctx, d, &next)
}

// trust takes the blame off an app one of whose connections was refreshed.
func (s *Service) trust(ctx context.Context, appID uuid.UUID) error {
	return s.db.Tx(ctx, func(ctx context.Context, tx *ent.Tx) error { return domain{s}.clearApp(ctx, tx, appID) })
}

func (s *Service) later(ctx context.Context, d Due, wait time.Duration) error {
	at := s.now().Add(wait - part(wait/5, s.jitter())).Truncate(time.Microsecond)
	return s.dueAgain(ctx, d, &at)
}

// handBack ends a claim after a fault of our own, and keeps the fault. It is due again a little later only, so that a
// connection with which something is wrong does not stand before the others.
func (s *Service) handBack(ctx context.Context, d Due, fault error) error {
	ctx = context.WithoutCancel(ctx)
	if errors.Is(fault, grant.ErrDraining) {
		return errors.Join(fault, s.GiveBack(ctx, d))
	}
	return errors.Join(fault, s.later(ctx, d, faultAgain))
}

// shiftUp makes connections that were idle and are used now due ahead of their tokens' ends. Of one that is in use
// already, or whose next attempt was put off, nothing changes.
func (s *Service) shiftUp(ctx context.Context, used []*ent.Connection) error {
	var failed error
	for _, c := range used {
		at := s.sooner(c)
		if at.IsZero() {
			continue
		}
		n, err := s.db.Ent.Connection.Update().
			Where(connection.ID(c.ID), connection.GenerationEQ(c.Generation), connection.NextRefreshAtGT(at), connection.FailureAttempts(0)).
			SetNextRefreshAt(at).Save(ctx)
		failed = errors.Join(failed, err)
		if n > 0 && !s.now().Before(at) {
			s.db.Signal(database.Due, uuid.Nil)
		}
	}
	return failed
}

// sooner is when the refresh of a connection in use is due, if that is sooner than planned; else zero.
func (s *Service) sooner(c *ent.Connection) time.Time {
	if c.NextRefreshAt == nil || c.AccessTokenExpiresAt == nil || c.FailureAttempts > 0 {
		return time.Time{}
	}
	t := token{expires: *c.AccessTokenExpiresAt, obtained: c.AccessTokenExpiresAt.Add(-time.Duration(c.AccessTokenLife) * time.Second), renewable: true}
	if !c.NextRefreshAt.After(aheadOf(t, 0)) {
		return time.Time{}
	}
	return aheadOf(t, s.jitter()).UTC().Truncate(time.Microsecond)
}

// WatchDue tells when a refresh may be due sooner than NextDue said. Stop the watch when done.
func (s *Service) WatchDue() *database.Watch { return s.db.Watch(database.Due, uuid.Nil) }

// Standing is how the refreshes ahead of need stand, for those who watch the service.
type Standing struct {
	// Due and Waiting count what is due and what waits for its app, to 10,000 each.
	Due, Waiting int
	// Oldest is when the one that has waited longest was due, among what is due and what waits for the first 64 apps;
	// zero where nothing is.
	Oldest time.Time
	// PausedApps counts the apps that are misconfigured or paused by their provider.
	PausedApps int
}

// countTo bounds what counting costs.
const countTo = 10_000

// Standing reads how the refreshes ahead of need stand. It costs two bounded walks along an index.
func (s *Service) Standing(ctx context.Context) (Standing, error) {
	var out Standing
	ctx = tenant.System(ctx, uuid.Nil)
	now := s.now()
	if err := s.oldest(ctx, &out); err != nil {
		return out, err
	}
	return out, errors.Join(
		s.countIn(ctx, &out.Due, `next_refresh_at <= $1`, now),
		s.countIn(ctx, &out.Waiting, `waiting_since IS NOT NULL`),
		s.pausedApps(ctx, &out, now))
}

// oldestAmong bounds the apps that are asked for the refresh that waits for them the longest.
const oldestAmong = 64

func (s *Service) oldest(ctx context.Context, out *Standing) error {
	found, err := s.DueNow(ctx, 1)
	if err != nil {
		return err
	}
	lanes, err := s.Lanes(ctx, uuid.Nil, oldestAmong)
	if err != nil {
		return err
	}
	for _, l := range lanes {
		first, err := s.DueInLane(ctx, l.App, 1)
		if err != nil {
			return err
		}
		found = append(found, first...)
	}
	for _, d := range found {
		if out.Oldest.IsZero() || d.At.Before(out.Oldest) {
			out.Oldest = d.At
		}
	}
	return nil
}

func (s *Service) pausedApps(ctx context.Context, out *Standing, now time.Time) (err error) {
	out.PausedApps, err = s.db.Ent.OAuthApp.Query().Where(oauthapp.Or(oauthapp.StateEQ(oauthapp.StateMISCONFIGURED), oauthapp.PausedUntilGT(now))).Count(ctx)
	return err
}

// countIn counts the connections for which a condition holds.
func (s *Service) countIn(ctx context.Context, to *int, condition string, args ...any) error {
	rows, err := s.db.Ent.QueryContext(ctx, fmt.Sprintf(`SELECT count(*) FROM (SELECT 1 FROM connections WHERE %s LIMIT %d) d`, condition, countTo), args...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	if rows.Next() {
		err = rows.Scan(to)
	}
	return errors.Join(err, rows.Err())
}
