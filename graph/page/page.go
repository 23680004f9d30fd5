package page

import (
	"context"
	"slices"
	"sync"
)

// Source is a list of rows that can be walked.
type Source[T any] struct {
	// Rows returns the rows of a walk, in its direction.
	Rows func(ctx context.Context, w Walk) ([]T, error)
	// Key is a row's place.
	Key func(T) Key
	// Count counts the whole list.
	Count func(ctx context.Context) (Total, error)
}

// Total is how long a list is.
type Total struct {
	N int
	// Exact is false where counting stopped at N.
	Exact bool
}

// Page is a part of a list, in the list's order.
type Page[T any] struct {
	Items []T
	// Next and Previous report whether the list goes on. They may ask the database, once.
	Next, Previous func(context.Context) (bool, error)
	// Total counts the list, once.
	Total func(context.Context) (Total, error)

	source Source[T]
	order  Order
}

// Fetch reads the page that a plan asks for.
func Fetch[T any](ctx context.Context, plan *Plan, source Source[T]) (*Page[T], error) {
	rows, err := source.Rows(ctx, plan.walk())
	if err != nil {
		return nil, err
	}
	more := len(rows) > plan.size
	if more {
		rows = rows[:plan.size]
	}
	ahead, behind := constantly(true), source.any(plan.outside())
	if !more {
		ahead = source.any(plan.beyond())
	}
	p := &Page[T]{Items: rows, Next: ahead, Previous: behind, Total: once(source.Count), source: source, order: plan.order}
	if plan.backward {
		slices.Reverse(p.Items)
		p.Next, p.Previous = behind, ahead
	}
	return p, nil
}

// Cursor is the cursor of the i-th item.
func (p *Page[T]) Cursor(i int) string { return p.order.Cursor(p.source.Key(p.Items[i])) }

// Ends are the cursors of the first and the last item; nil on an empty page.
func (p *Page[T]) Ends() (start, end *string) {
	if len(p.Items) == 0 {
		return nil, nil
	}
	first, last := p.Cursor(0), p.Cursor(len(p.Items)-1)
	return &first, &last
}

// any reports, when asked, whether a walk meets a row.
func (s Source[T]) any(w *Walk) func(context.Context) (bool, error) {
	if w == nil {
		return constantly(false)
	}
	return once(func(ctx context.Context) (bool, error) {
		rows, err := s.Rows(ctx, *w)
		return len(rows) > 0, err
	})
}

func constantly(b bool) func(context.Context) (bool, error) {
	return func(context.Context) (bool, error) { return b, nil }
}

// once keeps the first answer, for several fields of one response that need the same.
func once[T any](f func(context.Context) (T, error)) func(context.Context) (T, error) {
	var (
		run    sync.Once
		answer T
		err    error
	)
	return func(ctx context.Context) (T, error) {
		run.Do(func() { answer, err = f(ctx) })
		return answer, err
	}
}
