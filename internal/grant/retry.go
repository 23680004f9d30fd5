package grant

import (
	"time"

	"github.com/tokenkeep/tokenkeep/internal/oauth"
	"github.com/tokenkeep/tokenkeep/internal/provider"
)

// settleUnknown is how long a spend without an answer rests at a provider that ends the family when a token comes twice:
// longer than gateways keep a request waiting, as a rule.
const settleUnknown = 60 * time.Second

// RetryAtOnce decides whether a spend whose outcome is unknown is sent again in the same attempt.
//
// Where an old token answers again for a while the second try fetches the answer that was lost; that window closes, so
// not even a Retry-After puts it off. Where the old token is simply refused the second try succeeds if the first never
// arrived, and costs nothing if it did; there a provider that asks for time gets it. Where reuse ends the family (RFC
// 9700 4.14.2) a second try is the one thing that can do harm: the first request may still be in the provider's queue,
// and if it is dealt with after the second it ends the grant that the second has just brought home, and the access token
// that readers still use with it. The token is then left to rest, and tried when the first request must be over.
func RetryAtOnce(reuse provider.ReuseBehaviour, failure *oauth.Error) bool {
	switch {
	case failure.Outcome != oauth.Unknown:
		return false
	case reuse == provider.ReuseWindow:
		return true
	case reuse == provider.ReuseRevokesFamily:
		return false
	default:
		return failure.RetryAfter == 0
	}
}

// rested is the failure with the wait that the provider's way of dealing with reuse calls for.
func rested(reuse provider.ReuseBehaviour, failure *oauth.Error) *oauth.Error {
	if failure.Outcome != oauth.Unknown || reuse != provider.ReuseRevokesFamily {
		return failure
	}
	later := *failure
	later.RetryAfter = max(later.RetryAfter, settleUnknown)
	return &later
}

// restLeft is how much longer a token rests of which a spend was sent and nobody knows what came of it; sent is nil where
// none was.
func restLeft(reuse provider.ReuseBehaviour, sent *time.Time, now time.Time) time.Duration {
	if sent == nil || reuse != provider.ReuseRevokesFamily {
		return 0
	}
	return max(0, settleUnknown-now.Sub(*sent))
}
