package read_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/graph/page"
	"github.com/tokenkeep/tokenkeep/graph/read"
	"github.com/tokenkeep/tokenkeep/internal/servicetest"
)

// TestPagesAreTheModels walks random lists in both directions and compares every page with the same list in memory. The
// data set is large enough for a pair that is too common to begin a query with.
func TestPagesAreTheModels(t *testing.T) {
	servicetest.EachDatabase(t, func(t *testing.T, url string) {
		w := newWorld(t, servicetest.OpenDatabase(t, url), uint64(time.Now().UnixNano()), 1300) //nolint:gosec // a seed
		reader := read.New(w.client)
		ctx := as(t.Context(), w.mine)
		rapid.Check(t, func(t *rapid.T) {
			l := &list{reader: reader, filter: w.drawFilter(t), order: page.Order{
				Field: rapid.SampledFrom([]page.Field{page.Created, page.Updated}).Draw(t, "field"), Desc: rapid.Bool().Draw(t, "desc"),
			}}
			l.want = w.model(l.filter, l.order)
			l.step(ctx, t, nil, nil)
			for range 4 {
				from := l.anyCursor(t, "from")
				to := l.anyCursor(t, "to")
				l.step(ctx, t, from, nil)
				l.step(ctx, t, nil, to)
				l.step(ctx, t, from, to)
			}
		})
	})
}

// list is a list of connections and what it should be.
type list struct {
	reader *read.Reader
	filter read.Filter
	order  page.Order
	want   []*ent.Connection
}

// anyCursor is the index of a row; nil where there are none.
func (l *list) anyCursor(t *rapid.T, label string) *int {
	if len(l.want) == 0 {
		return nil
	}
	i := rapid.IntRange(0, len(l.want)-1).Draw(t, label)
	return &i
}

// step reads one page between two rows, from either end, and checks all about it.
func (l *list) step(ctx context.Context, t *rapid.T, after, before *int) {
	size := rapid.IntRange(0, 100).Draw(t, "size")
	args := page.Args{After: l.cursor(after), Before: l.cursor(before)}
	low, high := 0, len(l.want)
	if after != nil {
		low = *after + 1
	}
	if before != nil {
		high = max(*before, low)
	}
	if rapid.Bool().Draw(t, "backward") {
		args.Last, low = &size, max(low, high-size)
	} else {
		args.First, high = &size, min(high, low+size)
	}
	got, err := l.reader.Connections(ctx, args, l.filter, l.order)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(ids(l.want[low:high]), ids(got.Items)); diff != "" {
		t.Fatalf("rows %d to %d of %d (-want +got):\n%s", low, high, len(l.want), diff)
	}
	l.checkEnds(ctx, t, got, after, before, low, high)
}

// checkEnds compares what the page says of the list around it. An empty range has its far sides behind the cursors.
func (l *list) checkEnds(ctx context.Context, t *rapid.T, got *page.Page[*ent.Connection], after, before *int, low, high int) {
	next, err := got.Next(ctx)
	if err != nil {
		t.Fatal(err)
	}
	previous, err := got.Previous(ctx)
	if err != nil {
		t.Fatal(err)
	}
	total, err := got.Total(ctx)
	if err != nil {
		t.Fatal(err)
	}
	wantNext, wantPrevious := high < len(l.want), low > 0
	if after != nil && before != nil && *before <= *after {
		wantNext, wantPrevious = true, true
	}
	if next != wantNext || previous != wantPrevious {
		t.Fatalf("rows %d to %d of %d: got next %t, previous %t, want %t, %t", low, high, len(l.want), next, previous, wantNext, wantPrevious)
	}
	if want := (page.Total{N: len(l.want), Exact: true}); total != want {
		t.Fatalf("total: got %+v, want %+v", total, want)
	}
}

func (l *list) cursor(i *int) *string {
	if i == nil {
		return nil
	}
	o := l.order
	o.List = page.Connections
	c := o.Cursor(page.Key{At: l.want[*i].UpdatedAt, ID: l.want[*i].ID})
	return &c
}

func ids(rows []*ent.Connection) []uuid.UUID {
	out := make([]uuid.UUID, len(rows))
	for i, c := range rows {
		out[i] = c.ID
	}
	return out
}
