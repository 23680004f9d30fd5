package connection_test

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/tokenkeep/tokenkeep/ent"
	entconnection "github.com/tokenkeep/tokenkeep/ent/connection"
	"github.com/tokenkeep/tokenkeep/internal/connection"
	"github.com/tokenkeep/tokenkeep/internal/errs"
	"github.com/tokenkeep/tokenkeep/internal/servicetest"
	"github.com/tokenkeep/tokenkeep/internal/zoomsim"
)

// life is a model of one connection: what it should be, and what should have been told of it.
type life struct {
	*kit
	user      string
	id        uuid.UUID
	connected bool
	// class is that of the failure, empty where there is none; since is when it began.
	class string
	since time.Time
	// live is whether the user's grant lives at the provider.
	live bool
	// events and trail are what should be there of the present connection.
	events, trail []string
}

func (l *life) expect(event, action string) {
	if event != "" {
		l.events = append(l.events, "CONNECTION_"+event)
	}
	if action != "" {
		l.trail = append(l.trail, "connection."+action)
	}
}

// connect makes the connection, or renews it.
func (l *life) connect(t *rapid.T) {
	c, created, err := l.create(l.Consent(l.t, l.user), nil)
	if err != nil || created != (l.id == uuid.Nil) {
		t.Fatalf("created %v, %v", created, err)
	}
	switch {
	case created:
		l.id, l.events, l.trail = c.ID, nil, nil
		l.expect("CREATED", "create")
	case !l.connected:
		l.expect("CONNECTED", "authorize")
	case l.class != "":
		l.expect("RECOVERED", "authorize")
	default:
		l.expect("UPDATED", "authorize")
	}
	l.connected, l.live, l.class = true, true, ""
}

// update changes the subject.
func (l *life) update(t *rapid.T) {
	if _, err := l.Connections.Update(l.one.Ctx, connection.UpdateInput{ID: l.id, Subject: ptr("subject")}); err != nil {
		t.Fatal(err)
	}
	l.expect("UPDATED", "update")
}

// delete deletes the connection and lets the sweeper revoke its grant.
func (l *life) delete(t *rapid.T) {
	if err := l.Connections.Delete(l.one.Ctx, l.id); err != nil {
		t.Fatal(err)
	}
	l.sweep()
	l.expect("DELETED", "delete")
	l.check(t)
	l.id, l.connected, l.class = uuid.Nil, false, ""
}

// leave ends the grant at the provider, where nobody hears of it.
func (l *life) leave(*rapid.T) {
	if _, err := l.Zoom.EndGrants(l.user, "", ""); err != nil {
		l.t.Fatal(err)
	}
	l.live = false
}

// refresh refreshes; down makes the provider fail.
func (l *life) refresh(t *rapid.T, down bool) {
	if down {
		l.fault(zoomsim.Fault{Endpoint: zoomsim.EndpointToken, Count: 1, Status: 429, Body: "{}"})
	}
	_, err := l.Connections.Refresh(l.one.Ctx, l.id)
	switch l.Zoom.ClearFaults(); {
	case !l.connected:
		if err == nil {
			t.Fatal("a connection that is over was refreshed")
		}
	case errs.Is(err, errs.RateLimited):
		if row := l.Row(l.t, l.id); row.FailureReason != "RATE_LIMITED" || !l.Clock.Now().Before(*row.FailureNextAttemptAt) {
			t.Fatalf("got %v, but the failure is %+v", err, row)
		}
	case err != nil:
		t.Fatal(err)
	case down:
		l.failed("PROVIDER_UNAVAILABLE")
	case !l.live:
		l.failed("REAUTHORIZATION_REQUIRED")
	case l.class != "":
		l.class = ""
		l.expect("RECOVERED", "refresh")
	default:
		l.expect("", "refresh")
	}
}

// failed is what a failure of the class does.
func (l *life) failed(class string) {
	if l.class == "" {
		l.expect("FAILING", "")
	}
	now := l.Clock.Now()
	if l.class != class {
		l.class, l.since = class, now
	}
	if class == "REAUTHORIZATION_REQUIRED" && now.Sub(l.since) >= time.Minute {
		l.connected = false
		l.expect("DISCONNECTED", "")
	}
}

// check compares the model with what is so.
func (l *life) check(t *rapid.T) {
	if l.id == uuid.Nil {
		return
	}
	rows := l.eventRows(l.id)
	var got []string
	for i, e := range rows {
		if e.Sequence != int64(i+1) || i > 0 && e.PreviousState != rows[i-1].State {
			t.Fatalf("event %d has the number %d and goes from %s, the last one went to %s", i+1, e.Sequence, e.PreviousState, rows[max(i, 1)-1].State)
		}
		got = append(got, e.Type)
	}
	if !slices.Equal(got, l.events) {
		t.Fatalf("got events %v\nwant %v", got, l.events)
	}
	if got := l.kit.trail(l.id); !slices.Equal(got, l.trail) {
		t.Fatalf("got trail %v\nwant %v", got, l.trail)
	}
	row := l.Row(l.t, l.id)
	if row == nil {
		return
	}
	if (row.State == entconnection.StateCONNECTED) != l.connected || row.FailureClass != l.class || row.EventSequence != int64(len(l.events)) {
		t.Fatalf("got %s with %q after %d events, want connected %v with %q", row.State, row.FailureClass, row.EventSequence, l.connected, l.class)
	}
}

// TestEventsOfALife runs random lives against the model: exactly one event for each transition, and one entry for each
// operation.
func TestEventsOfALife(t *testing.T) {
	t.Parallel()
	k := local(t, servicetest.Options{})
	var lives atomic.Int64
	rapid.Check(t, func(t *rapid.T) {
		l := &life{kit: k, user: fmt.Sprintf("user%d", lives.Add(1))}
		for range rapid.IntRange(1, 14).Draw(t, "steps") {
			k.Clock.Advance(time.Duration(rapid.IntRange(1, 90).Draw(t, "seconds")) * time.Second)
			step := rapid.SampledFrom([]string{"connect", "update", "leave", "refresh", "refresh", "refresh", "fail", "delete"}).Draw(t, "step")
			switch {
			case l.id == uuid.Nil, step == "connect":
				l.connect(t)
			case step == "update":
				l.update(t)
			case step == "leave":
				l.leave(t)
			case step == "delete":
				l.delete(t)
			default:
				l.refresh(t, step == "fail")
			}
			l.check(t)
		}
	})
}

// TestEventsOfManyAtOnce: callers in two processes change one connection in all ways at once. The numbers have no gap, the
// states follow from one another, and the row agrees with the last.
func TestEventsOfManyAtOnce(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		c := k.connect()
		processes := []*servicetest.Service{k.Service, k.Process(t)}
		var group sync.WaitGroup
		for i := range 12 {
			p, code := processes[i%2].Connections, ""
			if i%4 == 3 {
				code = k.Consent(t, user)
			}
			group.Go(func() {
				k.Clock.Advance(time.Second)
				switch i % 4 {
				case 0, 1:
					_, _ = p.Update(k.one.Ctx, connection.UpdateInput{ID: c.ID, Merge: map[string]string{fmt.Sprint(i): "x"}})
				case 2:
					_, _ = p.Refresh(k.one.Ctx, c.ID)
				case 3:
					_, _, _ = p.Create(k.one.Ctx, k.one.CodeInput(code))
				}
			})
		}
		group.Wait()
		k.chained(c)
	})
}

// chained fails unless the events of a connection follow from one another and end where the row is.
func (k *kit) chained(c *ent.Connection) {
	k.t.Helper()
	rows, row := k.eventRows(c.ID), k.Row(k.t, c.ID)
	for i, e := range rows {
		if e.Sequence != int64(i+1) || i > 0 && e.PreviousState != rows[i-1].State {
			k.t.Errorf("event %d has the number %d and goes from %s", i+1, e.Sequence, e.PreviousState)
		}
	}
	if last := rows[len(rows)-1]; row.EventSequence != last.Sequence || row.State.String() != last.State {
		k.t.Errorf("the row is %s after %d events, the last event, %d, says %s", row.State, row.EventSequence, last.Sequence, last.State)
	}
}
