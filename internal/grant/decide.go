package grant

import (
	"time"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/internal/hold"
	"github.com/tokenkeep/tokenkeep/internal/oauth"
)

// HeadState says what the vault holds for a connection.
type HeadState string

// The head's states.
const (
	HeadAbsent     HeadState = "ABSENT"
	HeadPresent    HeadState = "PRESENT"
	HeadErased     HeadState = "ERASED"
	HeadUnreadable HeadState = "UNREADABLE"
)

// HeadView is what decisions need to know of the newest stored token set, the vault's or the one in escrow.
type HeadView struct {
	State      HeadState
	Generation int64
	Attempt    uuid.UUID
}

// RowView is what decisions need to know of the connection's row.
type RowView struct {
	// Exists is false for a tombstone: the connection was deleted.
	Exists     bool
	Generation int64
}

// SpendStep is what to do with a reserved grant.
type SpendStep string

// The steps before a spend.
const (
	// StepSpend: head and row agree; spend the head's token.
	StepSpend SpendStep = "SPEND"
	// StepSpendRolledBack: the head is older than the row (a restored vault); one try (see AfterRollback).
	StepSpendRolledBack SpendStep = "SPEND_ROLLED_BACK"
	// StepReconcile: the head is newer than the row (a crash between the two writes); bring the row up to date.
	StepReconcile SpendStep = "RECONCILE"
	// StepMissing: the row has a generation and the vault has nothing.
	StepMissing SpendStep = "MISSING"
	// StepUnreadable: the head does not open.
	StepUnreadable SpendStep = "UNREADABLE"
	// StepStop: the connection was deleted.
	StepStop SpendStep = "STOP"
)

// BeforeSpend decides what a refresh does once head and row were read under the lock.
func BeforeSpend(row RowView, head HeadView) SpendStep {
	switch {
	case !row.Exists:
		return StepStop
	case head.State == HeadUnreadable:
		return StepUnreadable
	case head.State != HeadPresent:
		return StepMissing
	case head.Generation > row.Generation:
		return StepReconcile
	case head.Generation < row.Generation:
		return StepSpendRolledBack
	default:
		return StepSpend
	}
}

// NextGeneration is the generation of the set about to be stored: above everything seen, so that none is used twice.
func NextGeneration(row RowView, head HeadView) int64 {
	return max(row.Generation, head.Generation) + 1
}

// Role says who commits.
type Role string

// The roles.
const (
	RoleRefresh       Role = "REFRESH"
	RoleAuthorization Role = "AUTHORIZATION"
)

// DoubtStep is what to do after a commit whose result is in doubt.
type DoubtStep string

// The steps after a doubtful commit.
const (
	// DoubtDone: the write landed.
	DoubtDone DoubtStep = "DONE"
	// DoubtRewrite: what was reserved still stands (or was re-wrapped); write again with the new check-and-set number.
	DoubtRewrite DoubtStep = "REWRITE"
	// DoubtAdopt: somebody stored a newer set; take it, drop mine, revoke nothing.
	DoubtAdopt DoubtStep = "ADOPT"
	// DoubtCompare: two consents; try each under the lock, the survivor stays.
	DoubtCompare DoubtStep = "COMPARE"
	// DoubtRevoke: the connection was deleted, or its record erased; revoke mine and stop.
	DoubtRevoke DoubtStep = "REVOKE"
	// DoubtAnew: the connection was deleted while its user consented again; the consent makes a new one.
	DoubtAnew DoubtStep = "ANEW"
)

// AfterDoubt decides what follows a commit that was not plainly acknowledged, from the head as it is now.
func AfterDoubt(reserved HeadView, mine uuid.UUID, role Role, row RowView, now HeadView) DoubtStep {
	switch {
	case now.State == HeadPresent && now.Attempt == mine:
		return DoubtDone
	case !row.Exists && role == RoleRefresh:
		return DoubtRevoke
	case !row.Exists:
		return DoubtAnew
	case now.State == HeadErased && role == RoleRefresh:
		return DoubtRevoke
	case now.State != HeadPresent, now.Generation <= reserved.Generation:
		return DoubtRewrite
	case role == RoleRefresh:
		return DoubtAdopt
	default:
		return DoubtCompare
	}
}

// Failure classes and reasons, the contract's words.
const (
	ClassReauthorize   = "REAUTHORIZATION_REQUIRED"
	ClassMisconfigured = "APP_MISCONFIGURED"
	ClassUnavailable   = "PROVIDER_UNAVAILABLE"

	ReasonInterrupted = "REFRESH_INTERRUPTED"
	ReasonMissing     = "RECORD_MISSING"
	ReasonUnreadable  = "RECORD_UNREADABLE"
	ReasonRolledBack  = "STORE_ROLLED_BACK"
	ReasonSuperseded  = "SUPERSEDED"
)

// ConfirmDeath is how long a refusal must hold before a connection is called dead.
const ConfirmDeath = 60 * time.Second

// Bounds of the back-off after failures that pass.
const (
	backoffBase       = 5 * time.Second
	backoffCap        = 15 * time.Minute
	misconfiguredWait = 5 * time.Minute
	// longestAsked caps a provider's Retry-After: a token ends meanwhile, and one request an hour does no harm.
	longestAsked = time.Hour
)

// FailedSpend is everything the verdict on a failed refresh depends on.
type FailedSpend struct {
	Err *oauth.Error
	Now time.Time
	// RolledBack: the token spent came from a head older than the row.
	RolledBack bool
	// Interrupted: an earlier spend of the same generation never got its answer, in this attempt or in one that died.
	Interrupted bool
	// ExchangeInFlight: a code is being exchanged for this client id; its consent may be what ended this grant.
	ExchangeInFlight bool
	// RefusedSince is when the provider first refused this generation; zero where this is the first time.
	RefusedSince time.Time
	// Attempts counts the failures in a row before this one.
	Attempts int
	// Jitter is a random number in [0,1), passed in so that this stays a function.
	Jitter float64
	// Brake says what stands against ending the connection; the zero value lets it end.
	Brake hold.Brake
}

// Verdict is what a failed refresh does to the connection.
type Verdict struct {
	// Disconnect is true where the grant is over; otherwise the connection stays connected with a failure.
	Disconnect bool
	// Held is true where the connection would be over but for a hold, which Hold names once it is known.
	Held bool
	Hold uuid.UUID
	// Released is true where the hold that kept the connection was dismissed: from now on its refusals count again.
	Released bool
	// RefusedGeneration is that of a head older than the row whose token the provider refused: it is not sent again. 0 none.
	RefusedGeneration int64
	// BlameApp is true where the app, not the user, is at fault.
	BlameApp                     bool
	Class, Reason, Message, Code string
	HTTPStatus                   int
	// Generation is the one judged: a row that has a higher one by now is left alone. Zero stands for any.
	Generation int64
	// NextAttemptAt is when to try again; zero where Disconnect is true.
	NextAttemptAt time.Time
}

// Judge decides what a failed refresh does to the connection. A refusal counts only when it held for ConfirmDeath with
// no exchange for the client id in flight; until then the connection is connected, with a failure. What would end it then
// may still be held.
func Judge(f FailedSpend) Verdict {
	return Braked(judge(f), f.Brake, f.Now, f.Attempts, f.Jitter)
}

// judge is Judge without the brake.
func judge(f FailedSpend) Verdict {
	v := Verdict{Message: f.Err.Message, Code: f.Err.ProviderCode, HTTPStatus: f.Err.Status}
	switch f.Err.Outcome {
	case oauth.GrantDead:
		return judgeRefusal(f, v)
	case oauth.AppMisconfigured:
		v.BlameApp, v.Class, v.Reason = true, ClassMisconfigured, string(f.Err.Reason)
		if v.Reason == "" {
			v.Reason = string(oauth.ReasonClientRejected)
		}
		v.NextAttemptAt = f.Now.Add(misconfiguredWait)
		return v
	default:
		v.Class, v.Reason = ClassUnavailable, transientReason(f.Err)
		v.NextAttemptAt = f.Now.Add(max(backoff(f.Attempts, f.Jitter), min(f.Err.RetryAfter, longestAsked)))
		return v
	}
}

// VerdictOnLoss ends a connection whose record is gone (StepMissing) or does not open (StepUnreadable).
func VerdictOnLoss(step SpendStep) Verdict {
	v := Verdict{Disconnect: true, Class: ClassReauthorize, Reason: ReasonMissing,
		Message: "The stored token is missing from the vault (was the database or the vault restored from a backup?). The user must connect again."}
	if step == StepUnreadable {
		v.Reason = ReasonUnreadable
		v.Message = "The stored token does not open (was its record changed or moved?). The user must connect again."
	}
	return v
}

// judgeRefusal applies the rule of death.
func judgeRefusal(f FailedSpend, v Verdict) Verdict {
	v.Class, v.Reason = ClassReauthorize, string(f.Err.Reason)
	switch {
	case f.RolledBack:
		v.Reason, v.Message = ReasonRolledBack, rolledBackMessage
	case f.Interrupted:
		v.Reason = ReasonInterrupted
		v.Message = "A refresh was cut off before the provider's answer could be stored, and the token it spent is not valid any more. The user must connect again."
	case v.Reason == "":
		v.Reason = string(oauth.ReasonRevoked)
	}
	since := f.RefusedSince
	if v.Released = f.Brake.Dismissed; v.Released || since.IsZero() {
		since = f.Now
	}
	held := f.Now.Sub(since) >= ConfirmDeath
	if f.RolledBack || (held && !f.ExchangeInFlight) {
		v.Disconnect = true
		return v
	}
	v.NextAttemptAt = since.Add(ConfirmDeath)
	if held {
		v.NextAttemptAt = f.Now.Add(ConfirmDeath)
	}
	return v
}

// transientReason names a failure that passes.
func transientReason(e *oauth.Error) string {
	switch {
	case e.Reason != "":
		return string(e.Reason)
	case e.Outcome == oauth.RateLimited:
		return string(oauth.ReasonRateLimited)
	case e.Status == 0:
		return string(oauth.ReasonNetwork)
	default:
		return string(oauth.ReasonProviderError)
	}
}

// backoff grows exponentially to a cap, with full jitter but never below a second.
func backoff(attempts int, jitter float64) time.Duration {
	ceiling := backoffCap
	if attempts < 8 { // 5 s * 2^8 is above the cap
		ceiling = min(backoffCap, backoffBase<<attempts)
	}
	return max(time.Second, time.Duration(float64(ceiling)*jitter))
}
