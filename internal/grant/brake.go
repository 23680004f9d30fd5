package grant

import (
	"time"

	"github.com/tokenkeep/tokenkeep/internal/hold"
	"github.com/tokenkeep/tokenkeep/internal/provider"
)

// How long a connection that is kept from ending waits for its next attempt: from the first bound to the second, growing
// with the attempts, half of it at random so that a fleet does not come back at once.
const (
	heldBase = 5 * time.Minute
	heldCap  = 30 * time.Minute
)

// heldMessage is what a tenant reads of a connection that is kept from ending. It tells nothing of others.
const heldMessage = " The connection is not ended yet: an operator of this service looks into it first, and it is tried again by itself."

// Braked turns a verdict that ends a connection into one that keeps it, where the brake holds. attempts counts the
// failures in a row before this one, jitter is a random number in [0,1).
func Braked(v Verdict, b hold.Brake, now time.Time, attempts int, jitter float64) Verdict {
	if !v.Disconnect || !b.Holds() {
		return v
	}
	v.Disconnect, v.Held = false, true
	v.Message = heldText[v.Reason]
	if v.Message == "" {
		v.Message = heldRefused
	}
	v.Message += heldMessage
	ceiling := heldCap
	if attempts < 4 { // 5 min * 2^3 is above the cap
		ceiling = min(heldCap, 2*heldBase<<max(0, attempts))
	}
	v.NextAttemptAt = now.Add(ceiling/2 + time.Duration(float64(ceiling/2)*jitter))
	return v
}

const heldRefused = "The provider refused the stored token."

// heldText is the first sentence of the message, by reason.
var heldText = map[string]string{
	ReasonRolledBack: "The stored token is older than it should be (was the vault restored from a backup?).",
	ReasonMissing:    "The stored token is missing from the vault (was the database or the vault restored from a backup?).",
	ReasonUnreadable: "The stored token does not open (was its record changed or moved?).",
}

// RollbackStep is what to do with the token of a head that is older than its row.
type RollbackStep string

// The steps after StepSpendRolledBack.
const (
	// RollbackTry: send it, once.
	RollbackTry RollbackStep = "TRY"
	// RollbackWait: it must not be sent before an operator has confirmed that there is no newer vault.
	RollbackWait RollbackStep = "WAIT"
	// RollbackRefused: it was sent and refused, or there is none; it is not sent again.
	RollbackRefused RollbackStep = "REFUSED"
)

// AfterRollback decides whether the token of a head that is older than its row is sent. Where a provider may answer a
// token that was rotated away by ending the grant, or by moving on from the newest, the try could cost a grant whose newest
// token lies in a newer copy of the vault; there it waits until the brake lets the connection end. usable is false where
// there is no token to send or it was refused before.
func AfterRollback(usable bool, reuse provider.ReuseBehaviour, b hold.Brake) RollbackStep {
	switch {
	case !usable:
		return RollbackRefused
	case b.Holds() && (reuse == provider.ReuseRevokesFamily || reuse == provider.ReuseWindow):
		return RollbackWait
	default:
		return RollbackTry
	}
}

// VerdictOnRollback is the verdict on a rolled back head whose token is not sent now. One that waits never ends here: where
// the brake has let go meanwhile, the try is made at once.
func VerdictOnRollback(step RollbackStep, b hold.Brake, now time.Time, attempts int, jitter float64) Verdict {
	v := Verdict{Disconnect: true, Class: ClassReauthorize, Reason: ReasonRolledBack, Message: rolledBackMessage}
	if step == RollbackWait && !b.Holds() {
		v.Disconnect, v.NextAttemptAt, v.Message = false, now, heldText[ReasonRolledBack]+" It is tried now."
		return v
	}
	return Braked(v, b, now, attempts, jitter)
}

const rolledBackMessage = "The stored token is older than it should be (was the vault restored from a backup?) and the provider refused it. The user must connect again."
