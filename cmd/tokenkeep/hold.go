package main

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/internal/hold"
	"github.com/tokenkeep/tokenkeep/internal/id"
)

// holdSettings say when endings are an incident; see hold.Policy.
type holdSettings struct {
	HoldShare   int           `env:"TOKENKEEP_HOLD_SHARE" default:"20" placeholder:"PERCENT" help:"Raise a hold when more than this share of an app's connections would end within the window (${default})."`
	HoldMinimum int           `env:"TOKENKEEP_HOLD_MINIMUM" default:"10" placeholder:"N" help:"Raise none for fewer than this many (${default})."`
	HoldWindow  time.Duration `env:"TOKENKEEP_HOLD_WINDOW" default:"10m" placeholder:"TIME" help:"The time over which endings are counted (${default})."`
	HoldLets    time.Duration `env:"TOKENKEEP_HOLD_LETS" default:"1h" placeholder:"TIME" help:"How long a confirmed hold of an app lets further endings through (${default})."`
}

// policy checks the settings.
func (s holdSettings) policy() (hold.Policy, error) {
	switch {
	case s.HoldShare < 1 || s.HoldShare > 100:
		return hold.Policy{}, fmt.Errorf("TOKENKEEP_HOLD_SHARE is %d: set it to a percentage between 1 and 100", s.HoldShare)
	case s.HoldMinimum < 1:
		return hold.Policy{}, fmt.Errorf("TOKENKEEP_HOLD_MINIMUM is %d: set it to 1 or more", s.HoldMinimum)
	case s.HoldWindow < time.Minute || s.HoldWindow > 24*time.Hour:
		return hold.Policy{}, fmt.Errorf("TOKENKEEP_HOLD_WINDOW is %s: set it to a time between 1m and 24h", s.HoldWindow)
	case s.HoldLets < time.Minute || s.HoldLets > 7*24*time.Hour:
		return hold.Policy{}, fmt.Errorf("TOKENKEEP_HOLD_LETS is %s: set it to a time between 1m and 168h", s.HoldLets)
	default:
		return hold.Policy{Share: s.HoldShare, Minimum: s.HoldMinimum, Window: s.HoldWindow, Lets: s.HoldLets}, nil
	}
}

// holdCmd is "tokenkeep hold".
type holdCmd struct {
	List    holdListCmd    `cmd:"" help:"List the incidents in which connections are, or were, kept from ending, the newest first."`
	Confirm holdConfirmCmd `cmd:"" help:"Let the connections end that a hold keeps: their users must connect again."`
	Dismiss holdDismissCmd `cmd:"" help:"End a hold whose cause was put right: its connections recover by their next refresh."`
}

const holdHelp = adminHelp + `

A hold keeps connections from ending while that looks like an incident: a store that was rolled back, or many connections
of one app at once. They stay connected, with a failure that says so, until the hold is decided about or ends by itself.`

type holdListCmd struct {
	adminSettings
	Standing bool `help:"Only those that nobody has decided about."`
}

// Help is what --help says beside the flags.
func (holdListCmd) Help() string { return holdHelp }

// Run lists.
func (c *holdListCmd) Run(t *terminal, sig signals) error {
	return c.do(sig.stop, func(ctx context.Context, s *service) error {
		all, err := s.holds.List(ctx, c.Standing)
		if err != nil {
			return err
		}
		for _, h := range all {
			if err := c.printHold(t, h); err != nil {
				return err
			}
		}
		return nil
	})
}

type holdConfirmCmd struct {
	adminSettings
	Hold string `arg:"" placeholder:"hold_..." help:"The hold's id."`
}

// Help is what --help says beside the flags.
func (holdConfirmCmd) Help() string {
	return holdHelp + `

After this each of its connections is DISCONNECTED at its next attempt, and for a stated time so are those that follow
(TOKENKEEP_HOLD_LETS; of a rolled back store whatever was stored before the confirmation).`
}

// Run confirms.
func (c *holdConfirmCmd) Run(t *terminal, sig signals) error {
	return c.decide(t, sig, c.Hold, (*hold.Service).Confirm)
}

type holdDismissCmd struct {
	adminSettings
	Hold string `arg:"" placeholder:"hold_..." help:"The hold's id."`
}

// Help is what --help says beside the flags.
func (holdDismissCmd) Help() string { return holdHelp }

// Run dismisses.
func (c *holdDismissCmd) Run(t *terminal, sig signals) error {
	return c.decide(t, sig, c.Hold, (*hold.Service).Dismiss)
}

// decide runs a decision about a hold and prints what became of it.
func (s adminSettings) decide(t *terminal, sig signals, text string, how func(*hold.Service, context.Context, uuid.UUID) (hold.Seen, error)) error {
	u, err := parseID("hold", id.Hold, text)
	if err != nil {
		return err
	}
	return s.do(sig.stop, func(ctx context.Context, w *service) error {
		h, err := how(w.holds, ctx, u)
		if err != nil {
			return err
		}
		return s.printHold(t, h)
	})
}

// printHold prints one hold, and while it stands what to do.
func (s adminSettings) printHold(t *terminal, h hold.Seen) error {
	name, subject := hold.Name(h.Hold), hold.Subject(h.Subject)
	if s.JSON {
		return printJSON(t.out, map[string]any{
			"hold": name, "subject": subjectID(subject), "state": h.State, "reason": h.Reason, "stopped": h.Stopped, "kept": h.Kept,
			"raisedAt": h.RaisedAt, "lastHeldAt": h.LastHeldAt, "decidedAt": h.DecidedAt, "decidedBy": h.DecidedBy, "letsUntil": h.LetsUntil,
		})
	}
	_, err := fmt.Fprintf(t.out, "%s  %s  %-9s  %s  %s  stopped %d, keeps %d\n", name, stamp(h.RaisedAt), h.State, subject, h.Reason, h.Stopped, h.Kept)
	if err == nil && h.Stands() {
		_, err = fmt.Fprintf(t.out, "    %s\n", hold.Advice(h.Hold))
	}
	return err
}

// subjectID is what a hold is about, for programs.
func subjectID(s hold.Subject) string {
	if s == hold.Fleet {
		return string(s)
	}
	return id.App.Format(s.App())
}
