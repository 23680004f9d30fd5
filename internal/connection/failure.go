package connection

import (
	"time"

	"github.com/tokenkeep/tokenkeep/ent"
)

// Failure is what is wrong with a connection or an app.
type Failure struct {
	Class, Reason, Message, ProviderCode string
	// HTTPStatus is zero where no answer came.
	HTTPStatus, Attempts int
	Since, LastAt        time.Time
	NextAttemptAt        *time.Time
}

// FailureOf returns the connection's failure, nil while all is well.
func FailureOf(c *ent.Connection) *Failure {
	if c.FailureClass == "" {
		return nil
	}
	return &Failure{
		Class: c.FailureClass, Reason: c.FailureReason, Message: c.FailureMessage, ProviderCode: c.FailureProviderCode,
		HTTPStatus: c.FailureHTTPStatus, Attempts: c.FailureAttempts,
		Since: orZero(c.FailureSince), LastAt: orZero(c.FailureLastAt), NextAttemptAt: c.FailureNextAttemptAt,
	}
}

// AppFailureOf returns the app's failure, nil while all is well.
func AppFailureOf(a *ent.OAuthApp) *Failure {
	if a.FailureClass == "" {
		return nil
	}
	return &Failure{
		Class: a.FailureClass, Reason: a.FailureReason, Message: a.FailureMessage, ProviderCode: a.FailureProviderCode,
		HTTPStatus: a.FailureHTTPStatus, Attempts: a.FailureAttempts,
		Since: orZero(a.FailureSince), LastAt: orZero(a.FailureLastAt), NextAttemptAt: a.FailureNextAttemptAt,
	}
}

// fields is the failure as events carry it, in the contract's names.
func (f *Failure) fields() map[string]any {
	if f == nil {
		return nil
	}
	out := map[string]any{
		"class": f.Class, "reason": f.Reason, "message": f.Message, "attempts": f.Attempts,
		"since": f.Since.Format(time.RFC3339Nano), "lastAt": f.LastAt.Format(time.RFC3339Nano),
	}
	if f.ProviderCode != "" {
		out["providerCode"] = f.ProviderCode
	}
	if f.HTTPStatus != 0 {
		out["httpStatus"] = f.HTTPStatus
	}
	if f.NextAttemptAt != nil {
		out["nextAttemptAt"] = f.NextAttemptAt.Format(time.RFC3339Nano)
	}
	return out
}

func orZero(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}
