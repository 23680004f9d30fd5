package connection

import (
	"context"
	"time"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/ent/oauthapp"
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

func restingResult(row *ent.Connection, code, message string, wait time.Duration) *Result {
	r := unavailableResult(row, code, message, wait)
	return &r
}
