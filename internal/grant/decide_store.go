package grant

// Decisions around the store: what an attempt takes over from the one before it, what of an escrow is written where, and
// when somebody else's set takes the place of one's own.

// Recall reports whether a spend of the row's generation by an attempt before this one went without an answer. unknown is
// the generation that the lock row remembers, 0 none. Of a generation that is past nothing needs to be known any more.
func Recall(step SpendStep, row RowView, unknown int64) (interrupted bool) {
	return step != StepReconcile && unknown == row.Generation
}

// Unanswered is the generation that the lock row is to remember after a verdict; 0 where all is known, or over.
func Unanswered(f FailedSpend, v Verdict, generation int64) int64 {
	if f.Interrupted && !v.Disconnect {
		return generation
	}
	return 0
}

// StillUnanswered is what an authorization leaves in the lock row: what is remembered of the generation that it settles,
// because that was stored and spent before it came; 0 where that is past.
func StillUnanswered(settled, unknown int64) int64 {
	if settled == unknown {
		return unknown
	}
	return 0
}

// HeadMoved reports whether somebody stored a newer set while one was being spent: a refusal of the older one then says
// nothing.
func HeadMoved(reserved, now HeadView) bool {
	return now.State == HeadPresent && now.Generation > reserved.Generation
}

// Lands reports whether an escrow of the generation is written over the head: the higher generation wins.
func Lands(generation int64, head HeadView) bool {
	return head.State != HeadPresent || head.Generation < generation
}

// Displaces reports whether a record takes the place of the one that waits in escrow already.
func Displaces(generation, waiting int64) bool { return generation > waiting }
