package grant_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/internal/grant"
	"github.com/tokenkeep/tokenkeep/internal/id"
)

var headStates = []grant.HeadState{grant.HeadAbsent, grant.HeadPresent, grant.HeadErased, grant.HeadUnreadable}

// stored reports whether a head has a generation to speak of.
func view(state grant.HeadState, generation int64, attempt uuid.UUID) grant.HeadView {
	if state != grant.HeadPresent {
		return grant.HeadView{State: state}
	}
	return grant.HeadView{State: state, Generation: generation, Attempt: attempt}
}

func TestBeforeSpend(t *testing.T) {
	present := func(g int64) grant.HeadView { return view(grant.HeadPresent, g, id.New()) }
	for _, test := range []struct {
		name string
		row  grant.RowView
		head grant.HeadView
		want grant.SpendStep
	}{
		{"they agree", grant.RowView{Exists: true, Generation: 3}, present(3), grant.StepSpend},
		{"the head is newer", grant.RowView{Exists: true, Generation: 3}, present(4), grant.StepReconcile},
		{"the head is much newer", grant.RowView{Exists: true, Generation: 0}, present(9), grant.StepReconcile},
		{"the head is older", grant.RowView{Exists: true, Generation: 3}, present(2), grant.StepSpendRolledBack},
		{"never stored", grant.RowView{Exists: true, Generation: 3}, view(grant.HeadAbsent, 0, uuid.Nil), grant.StepMissing},
		{"erased", grant.RowView{Exists: true, Generation: 3}, view(grant.HeadErased, 0, uuid.Nil), grant.StepMissing},
		{"unreadable", grant.RowView{Exists: true, Generation: 3}, view(grant.HeadUnreadable, 0, uuid.Nil), grant.StepUnreadable},
		{"deleted", grant.RowView{}, present(3), grant.StepStop},
		{"deleted and erased", grant.RowView{}, view(grant.HeadErased, 0, uuid.Nil), grant.StepStop},
		{"deleted and unreadable", grant.RowView{}, view(grant.HeadUnreadable, 0, uuid.Nil), grant.StepStop},
	} {
		if got := grant.BeforeSpend(test.row, test.head); got != test.want {
			t.Errorf("%s: got %s, want %s", test.name, got, test.want)
		}
	}
}

// TestBeforeSpendSpendsOnlyWhatIsThere goes through all combinations for the one rule that must hold in each.
func TestBeforeSpendSpendsOnlyWhatIsThere(t *testing.T) {
	for _, exists := range []bool{true, false} {
		for _, state := range headStates {
			for row := range int64(4) {
				for head := range int64(4) {
					h := view(state, head, id.New())
					step := grant.BeforeSpend(grant.RowView{Exists: exists, Generation: row}, h)
					spends := step == grant.StepSpend || step == grant.StepSpendRolledBack
					if want := exists && state == grant.HeadPresent && head <= row; spends != want {
						t.Errorf("row %d (exists %v), head %s %d: got %s", row, exists, state, head, step)
					}
				}
			}
		}
	}
}

func TestNextGenerationIsAboveEverythingSeen(t *testing.T) {
	for row := range int64(5) {
		for head := range int64(5) {
			got := grant.NextGeneration(grant.RowView{Exists: true, Generation: row}, grant.HeadView{State: grant.HeadPresent, Generation: head})
			if got <= row || got <= head || (got != row+1 && got != head+1) {
				t.Errorf("row %d, head %d: got %d", row, head, got)
			}
		}
	}
}

// doubt is one combination of everything that the step after a doubtful commit depends on.
type doubt struct {
	reserved grant.HeadView
	mine     uuid.UUID
	role     grant.Role
	row      grant.RowView
	now      grant.HeadView
}

func (d doubt) String() string {
	whose := map[uuid.UUID]string{d.mine: "mine", d.reserved.Attempt: "the reserved one's"}[d.now.Attempt]
	return fmt.Sprintf("%s, row exists %v, reserved %s %d, now %s %d of attempt %q",
		d.role, d.row.Exists, d.reserved.State, d.reserved.Generation, d.now.State, d.now.Generation, whose)
}

// doubts are all combinations.
func doubts() []doubt {
	mine, theirs, before := id.New(), id.New(), id.New()
	var all []doubt
	for _, role := range []grant.Role{grant.RoleRefresh, grant.RoleAuthorization} {
		for _, exists := range []bool{true, false} {
			for _, reserved := range headStates {
				for _, state := range headStates {
					for generation := int64(4); generation <= 7; generation++ {
						for _, attempt := range []uuid.UUID{mine, theirs, before} {
							all = append(all, doubt{
								reserved: view(reserved, 5, before), mine: mine, role: role,
								row: grant.RowView{Exists: exists, Generation: 5}, now: view(state, generation, attempt),
							})
						}
					}
				}
			}
		}
	}
	return all
}

// table is the design's table "after a doubtful commit the head shows", row by row. A deleted connection is more than a
// head that was erased: a consent that comes too late for it is a new connection's, and is not revoked.
func (d doubt) table() grant.DoubtStep {
	refresh := d.role == grant.RoleRefresh
	rows := []struct {
		shows  bool
		step   grant.DoubtStep
		reason string
	}{
		{d.now.State == grant.HeadPresent && d.now.Attempt == d.mine, grant.DoubtDone, "my attempt id"},
		{!d.row.Exists && refresh, grant.DoubtRevoke, "the row is a tombstone, I am a refresh"},
		{!d.row.Exists && !refresh, grant.DoubtAnew, "the row is a tombstone, I am an authorization"},
		{d.now.State == grant.HeadErased && refresh, grant.DoubtRevoke, "erased, I am a refresh"},
		{d.now.State != grant.HeadPresent, grant.DoubtRewrite, "nothing that could be lost"},
		{d.now.Generation <= d.reserved.Generation, grant.DoubtRewrite, "what I reserved, re-wrapped or restored"},
		{refresh, grant.DoubtAdopt, "a higher generation, I am a refresh"},
		{true, grant.DoubtCompare, "a higher generation, I am an authorization"},
	}
	for _, row := range rows {
		if row.shows {
			return row.step
		}
	}
	panic("the last row always shows")
}

type afterDoubt func(reserved grant.HeadView, mine uuid.UUID, role grant.Role, row grant.RowView, now grant.HeadView) grant.DoubtStep

// faults compares a function with the table in every combination.
func (f afterDoubt) faults() []string {
	var found []string
	for _, d := range doubts() {
		if got, want := f(d.reserved, d.mine, d.role, d.row, d.now), d.table(); got != want {
			found = append(found, fmt.Sprintf("%s: got %s, want %s", d, got, want))
		}
	}
	return found
}

func TestAfterDoubt(t *testing.T) {
	if faults := afterDoubt(grant.AfterDoubt).faults(); len(faults) > 0 {
		t.Errorf("%d of %d combinations are wrong, the first few:\n%s", len(faults), len(doubts()), strings.Join(faults[:min(5, len(faults))], "\n"))
	}
}

// TestAfterDoubtCanFail breaks the function in ways that would lose grants and expects the check to notice each.
func TestAfterDoubtCanFail(t *testing.T) {
	for name, broken := range map[string]func(d doubt, right grant.DoubtStep) grant.DoubtStep{
		"overwrites newer sets": func(_ doubt, right grant.DoubtStep) grant.DoubtStep {
			if right == grant.DoubtAdopt {
				return grant.DoubtRewrite
			}
			return right
		},
		"takes the generation for the attempt": func(d doubt, right grant.DoubtStep) grant.DoubtStep {
			if d.now.Generation == d.reserved.Generation+1 {
				return grant.DoubtDone
			}
			return right
		},
		"resurrects the deleted": func(d doubt, right grant.DoubtStep) grant.DoubtStep {
			if !d.row.Exists && right != grant.DoubtDone {
				return grant.DoubtRewrite
			}
			return right
		},
		"drops what was re-wrapped": func(d doubt, right grant.DoubtStep) grant.DoubtStep {
			if right == grant.DoubtRewrite && d.role == grant.RoleRefresh {
				return grant.DoubtAdopt
			}
			return right
		},
	} {
		f := afterDoubt(func(reserved grant.HeadView, mine uuid.UUID, role grant.Role, row grant.RowView, now grant.HeadView) grant.DoubtStep {
			return broken(doubt{reserved, mine, role, row, now}, grant.AfterDoubt(reserved, mine, role, row, now))
		})
		if len(f.faults()) == 0 {
			t.Errorf("a function that %s passes", name)
		}
	}
}
