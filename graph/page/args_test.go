package page_test

import (
	"errors"
	"testing"

	"github.com/tokenkeep/tokenkeep/graph/page"
	"github.com/tokenkeep/tokenkeep/internal/errs"
)

func TestSizesAreChecked(t *testing.T) {
	n := func(i int) *int { return &i }
	for _, test := range []struct {
		name  string
		args  page.Args
		field string
	}{
		{"none", page.Args{}, ""},
		{"nothing wanted", page.Args{First: n(0)}, ""},
		{"the most", page.Args{Last: n(page.MaxSize)}, ""},
		{"more than the most", page.Args{First: n(page.MaxSize + 1)}, "first"},
		{"more than the most from the end", page.Args{Last: n(1 << 40)}, "last"},
		{"negative", page.Args{First: n(-1)}, "first"},
		{"negative from the end", page.Args{Last: n(-1)}, "last"},
		{"both ends", page.Args{First: n(1), Last: n(1)}, "last"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := byCreation.Plan(test.args)
			var e *errs.Error
			switch {
			case test.field == "" && err == nil:
			case !errors.As(err, &e) || e.Kind != errs.BadUserInput || e.Field != test.field:
				t.Errorf("got %v, want BAD_USER_INPUT on %q", err, test.field)
			}
		})
	}
}
