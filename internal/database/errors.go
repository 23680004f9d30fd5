package database

import "errors"

var (
	// ErrURL says that a database URL cannot be used; its text says what one looks like.
	ErrURL = errors.New("bad database URL")
	// ErrUnreachable says that the database did not answer.
	ErrUnreachable = errors.New("cannot reach the database")
	// ErrNested says that a transaction, or a write outside it, was begun while one is open. The writes would not be one,
	// and SQLite's single writer would wait for itself.
	ErrNested = errors.New("a transaction is open: use its client")
)
