package model

import (
	"time"

	"github.com/tokenkeep/tokenkeep/internal/hold"
	"github.com/tokenkeep/tokenkeep/internal/id"
)

// Hold is an incident in which connections are kept from ending.
type Hold struct {
	ID         string
	Kind       HoldKind
	AppID      *string
	State      HoldState
	Reason     string
	Stopped    int64
	Kept       int
	RaisedAt   time.Time
	LastHeldAt time.Time
	DecidedAt  *time.Time
	DecidedBy  *string
	LetsUntil  *time.Time
}

// HoldOf makes a hold of what an operator sees.
func HoldOf(h hold.Seen) *Hold {
	out := &Hold{
		ID: hold.Name(h.Hold), Kind: HoldKindStore, State: HoldState(h.State), Reason: h.Reason, Stopped: h.Stopped, Kept: h.Kept,
		RaisedAt: h.RaisedAt, LastHeldAt: h.LastHeldAt, DecidedAt: h.DecidedAt, LetsUntil: h.LetsUntil,
	}
	if s := hold.Subject(h.Subject); s != hold.Fleet {
		app := id.App.Format(s.App())
		out.Kind, out.AppID = HoldKindApp, &app
	}
	if h.DecidedBy != "" {
		out.DecidedBy = &h.DecidedBy
	}
	return out
}

// HoldsOf is HoldOf for many.
func HoldsOf(all []hold.Seen) []*Hold { return each(all, HoldOf) }
