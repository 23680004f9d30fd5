package zoomsim

import "errors"

// Errors of the control methods; the HTTP API answers them with 400 and 404.
var (
	// ErrInvalid says that an argument cannot be used as it is.
	ErrInvalid = errors.New("invalid")
	// ErrNotFound says that no such client, user, grant or fault exists.
	ErrNotFound = errors.New("not found")
)
