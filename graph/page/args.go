package page

import "github.com/tokenkeep/tokenkeep/internal/errs"

// Sizes of a page.
const (
	// DefaultSize is taken where neither first nor last is given.
	DefaultSize = 20
	// MaxSize is the most that first or last may ask for.
	MaxSize = 100
)

// Args are the four arguments of a list. Nil is left out.
type Args struct {
	First  *int
	After  *string
	Last   *int
	Before *string
}

// Plan is what Args ask for in an order. It is made by Order.Plan.
type Plan struct {
	order         Order
	size          int
	backward      bool
	after, before *Key
}

// Plan checks the arguments. Errors: BAD_USER_INPUT on the argument.
func (o Order) Plan(args Args) (*Plan, error) {
	p := &Plan{order: o, size: DefaultSize}
	if args.First != nil && args.Last != nil {
		return nil, errs.Input("last", "give first or last, not both")
	}
	if err := p.sized("first", args.First); err != nil {
		return nil, err
	}
	if err := p.sized("last", args.Last); err != nil {
		return nil, err
	}
	p.backward = args.Last != nil
	var err error
	if p.after, err = o.parse("after", args.After); err != nil {
		return nil, err
	}
	p.before, err = o.parse("before", args.Before)
	return p, err
}

func (p *Plan) sized(name string, n *int) error {
	switch {
	case n == nil:
		return nil
	case *n < 0:
		return errs.Input(name, "%s must not be negative", name)
	case *n > MaxSize:
		return errs.Input(name, "%s is %d; a page has %d entries at most", name, *n, MaxSize)
	}
	p.size = *n
	return nil
}

// Walk is a range of an order's keys and the direction in which to go through it.
type Walk struct {
	// Bounds must all hold.
	Bounds []Bound
	// Desc walks from the greatest key to the least.
	Desc bool
	// Limit is how many rows are wanted at most; never zero.
	Limit int
}

// Bound compares rows with a key.
type Bound struct {
	Key Key
	// Above keeps the rows with greater keys, otherwise those with lesser ones.
	Above bool
	// OrEqual keeps the row of the key itself, too.
	OrEqual bool
}

// walk is the page and one row more.
func (p *Plan) walk() Walk {
	w := Walk{Desc: p.order.Desc != p.backward, Limit: p.size + 1}
	if p.after != nil {
		w.Bounds = append(w.Bounds, Bound{Key: *p.after, Above: !p.order.Desc})
	}
	if p.before != nil {
		w.Bounds = append(w.Bounds, Bound{Key: *p.before, Above: p.order.Desc})
	}
	return w
}

// outside is one row on the far side of a cursor that the walk began at; nil where there was no cursor.
func (p *Plan) outside() *Walk {
	start, above := p.after, p.order.Desc
	if p.backward {
		start, above = p.before, !p.order.Desc
	}
	return probe(start, above)
}

// beyond is one row on the far side of a cursor that the walk was to end at.
func (p *Plan) beyond() *Walk {
	end, above := p.before, !p.order.Desc
	if p.backward {
		end, above = p.after, p.order.Desc
	}
	return probe(end, above)
}

func probe(key *Key, above bool) *Walk {
	if key == nil {
		return nil
	}
	return &Walk{Bounds: []Bound{{Key: *key, Above: above, OrEqual: true}}, Desc: !above, Limit: 1}
}
