package model

import "github.com/tokenkeep/tokenkeep/internal/connection"

// FailureOf makes a failure of the domain's; nil stays nil.
func FailureOf(f *connection.Failure) *ConnectionFailure {
	if f == nil {
		return nil
	}
	out := &ConnectionFailure{
		Class:         FailureClass(f.Class),
		Reason:        FailureReason(f.Reason),
		Message:       f.Message,
		ProviderCode:  text(f.ProviderCode),
		Attempts:      f.Attempts,
		Since:         f.Since,
		LastAt:        f.LastAt,
		NextAttemptAt: f.NextAttemptAt,
	}
	if f.HTTPStatus != 0 {
		out.HTTPStatus = &f.HTTPStatus
	}
	return out
}
