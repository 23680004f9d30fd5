package page_test

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/tokenkeep/tokenkeep/graph/page"
	"github.com/tokenkeep/tokenkeep/internal/errs"
)

var (
	byCreation = page.Order{List: page.Connections, Field: page.Created, Desc: true}
	byChange   = page.Order{List: page.Connections, Field: page.Updated, Desc: true}
	someKey    = page.Key{At: time.Date(2026, 2, 3, 4, 5, 6, 7000, time.UTC), ID: uuid.MustParse("019b76da-a800-7000-80a6-6fbf1f4a02b2")}
)

func planned(o page.Order, after string) error {
	_, err := o.Plan(page.Args{After: &after})
	return err
}

func TestCursorsComeBack(t *testing.T) {
	for _, o := range []page.Order{byCreation, byChange, {List: page.Apps, Field: page.Created}} {
		if err := planned(o, o.Cursor(someKey)); err != nil {
			t.Errorf("%+v: %v", o, err)
		}
	}
	// A cursor that a caller kept works with the next release: its text is fixed.
	if got, want := byCreation.Cursor(someKey), "AWNjAZt22qgAcACApm-_H0oCsi1bfeA"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestForeignCursorsAreRefused(t *testing.T) {
	for _, test := range []struct {
		name, cursor, says string
		order              page.Order
	}{
		{"another order", byChange.Cursor(someKey), "ordered by UPDATED_AT, and this one is ordered by CREATED_AT", byCreation},
		{"another list", page.Order{List: page.Apps, Field: page.Created}.Cursor(someKey), "another list", byCreation},
		{"empty", "", "not a cursor", byCreation},
		{"words", "the second page, please", "not a cursor", byCreation},
		{"an id", "conn_01h455vb4pex5vsknk084sn02q", "not a cursor", byCreation},
		{"padded", byCreation.Cursor(someKey) + "=", "not a cursor", byCreation},
		{"longer", byCreation.Cursor(someKey) + "AAAA", "not a cursor", byCreation},
		{"line break", byCreation.Cursor(someKey) + "\n", "not a cursor", byCreation},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := planned(test.order, test.cursor)
			var e *errs.Error
			if !errors.As(err, &e) || e.Kind != errs.BadUserInput || e.Field != "after" || !strings.Contains(e.Message, test.says) {
				t.Errorf("got %v, want BAD_USER_INPUT on after that says %q", err, test.says)
			}
		})
	}
}

// TestDamagedCursorsAreRefused changes any bits of a cursor's bytes, and any of its characters.
func TestDamagedCursorsAreRefused(t *testing.T) {
	whole, err := base64.RawURLEncoding.DecodeString(byChange.Cursor(someKey))
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		b := append([]byte{}, whole...)
		b[rapid.IntRange(0, len(b)-1).Draw(t, "byte")] ^= rapid.ByteRange(1, 255).Draw(t, "bits")
		if planned(byChange, base64.RawURLEncoding.EncodeToString(b)) == nil {
			t.Fatal("a damaged cursor was taken")
		}
	})
}

func FuzzCursor(f *testing.F) {
	f.Add(byCreation.Cursor(someKey))
	f.Add(byChange.Cursor(someKey))
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		for _, o := range []page.Order{byCreation, byChange} {
			if err := planned(o, text); err != nil && !errs.Is(err, errs.BadUserInput) {
				t.Errorf("got %v", err)
			}
		}
	})
}
