package connection

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/ent/oauthapp"
	"github.com/tokenkeep/tokenkeep/internal/errs"
	"github.com/tokenkeep/tokenkeep/internal/grant"
)

// rests is the answer to a reader whose token ended while its app rests: the provider refuses the app, or asked for fewer
// requests. Nil where it does not rest. Of an app that is refused one reader, or one scheduler, may find out whether it
// still is; then probe is true.
func (s *Service) rests(ctx context.Context, row *ent.Connection) (answer *Result, probe bool, err error) {
	a, err := s.appRow(ctx, row.AppID)
	if err != nil {
		return nil, false, err
	}
	now := s.now()
	if a.State != oauthapp.StateMISCONFIGURED {
		if a.PausedUntil == nil || !now.Before(*a.PausedUntil) {
			return nil, false, nil
		}
		return restingResult(row, codeProvider, "the provider asked for fewer requests of this app", a.PausedUntil.Sub(now)), false, nil
	}
	wait := time.Minute
	if next := a.FailureNextAttemptAt; next == nil || !now.Before(*next) {
		if probe, err = s.ClaimProbe(ctx, a.ID); err != nil || probe {
			return nil, probe, err
		}
	} else {
		wait = next.Sub(now)
	}
	return restingResult(row, codeMisconfigured, a.FailureMessage, wait), false, nil
}

// tellsOfApp reports whether the outcome of a refresh tells of its app: the provider accepted it, blamed it, or could not
// be asked. That a grant is over, or that nothing was sent, does not.
func tellsOfApp(out grant.Refreshed, err error) bool {
	if err != nil {
		return errs.Is(err, errs.AppMisconfigured)
	}
	v := out.Verdict
	return v == nil || v.BlameApp || v.Class == grant.ClassUnavailable
}

// probed tells what a reader found out about an app that is refused. One who did not wait for the end found out nothing,
// but may yet.
func (s *Service) probed(ctx context.Context, app uuid.UUID, out grant.Refreshed, err error) error {
	if err == nil && !out.Set.AccessToken.IsZero() {
		return s.trust(context.WithoutCancel(ctx), app)
	}
	return s.keepProbe(ctx, app, !errors.Is(err, grant.ErrBusy) && !tellsOfApp(out, err))
}

// keepProbe lets the app have its try again at once, with another connection, where the one that took it told nothing of
// the app: otherwise each grant that ended while the app was refused would cost all others an hour.
func (s *Service) keepProbe(ctx context.Context, app uuid.UUID, kept bool) error {
	if !kept {
		return nil
	}
	_, err := s.db.Ent.ExecContext(context.WithoutCancel(ctx), `UPDATE oauth_apps SET failure_next_attempt_at = $1, failure_attempts = failure_attempts - 1
WHERE id = $2 AND state = 'MISCONFIGURED' AND failure_attempts > 0`, s.now().Truncate(time.Microsecond), app)
	if err != nil {
		return fmt.Errorf("giving back the try of a misconfigured app: %w", err)
	}
	return nil
}

func restingResult(row *ent.Connection, code, message string, wait time.Duration) *Result {
	r := unavailableResult(row, code, message, wait)
	return &r
}
