package verify

import (
	entconnection "github.com/tokenkeep/tokenkeep/ent/connection"
	"github.com/tokenkeep/tokenkeep/internal/grant"
)

// healthy is the kind of what needs nothing.
const healthy Kind = ""

// diagnose names what is wrong with a connection; healthy where nothing is.
func diagnose(i grant.Inspection) Kind {
	if i.Row == nil {
		return diagnoseRowless(i)
	}
	switch {
	case i.Row.State == entconnection.StatePENDING:
		return healthy
	case i.Newest.Generation > i.Row.Generation:
		return RowBehind
	case i.Newest.Generation == i.Row.Generation:
		if i.Newest.Set.Owner.ConsentedAt.After(i.Row.ConsentedAt) {
			return RowBehind // brought up to the set by a reader, who leaves the consent alone
		}
		return healthy
	case i.Row.State == entconnection.StateDISCONNECTED:
		return healthy // it is over: nothing is spent any more
	case i.Head.State == grant.HeadUnreadable, i.Escrow.State == grant.HeadUnreadable:
		return RecordUnreadable
	case i.Newest.Generation > 0:
		return RolledBack
	default:
		return RecordMissing
	}
}

// diagnoseRowless is diagnose where there is no row.
func diagnoseRowless(i grant.Inspection) Kind {
	stored := i.Head.State == grant.HeadPresent || i.Head.State == grant.HeadUnreadable
	switch {
	case i.Authorizing, !stored:
		return healthy // somebody is making the row, or there is nothing to make one of
	case i.Tombstone != nil && i.Tombstone.ErasedAt == nil:
		return healthy // its destruction is ordered, which the pass over tombstones looks after
	case i.Tombstone != nil && i.Newest.Generation > i.Tombstone.Generation:
		return RecordDeletedLater
	case i.Tombstone != nil:
		return RecordDeleted
	case i.Newest.Generation == 0:
		return RecordStray
	default:
		return RowMissing
	}
}

// diagnoseEscrow names what is wrong with an escrow, which by itself is a passing state.
func diagnoseEscrow(i grant.Inspection) Kind {
	switch {
	case i.Escrow.State == grant.HeadAbsent:
		return healthy
	case i.Escrow.State == grant.HeadUnreadable:
		return EscrowUnreadable
	case i.Head.State == grant.HeadPresent && i.Head.Generation >= i.Escrow.Generation:
		return EscrowStale
	default:
		return EscrowWaiting
	}
}
