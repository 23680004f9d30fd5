package zoomsim

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"time"
)

// activeFault is a fault at work. Its id, taken and place in the list belong to Server.mu; the rest never changes once
// it was added. A nil *activeFault is the absence of a fault.
type activeFault struct {
	Fault
	id       string
	taken    int
	released chan struct{} // closed when the fault is removed

	holds   bool // keeps requests at point until released
	point   Point
	arrived chan struct{}
}

func (f *activeFault) name() string {
	if f == nil {
		return ""
	}
	return f.id
}

func (f *activeFault) matches(c *call) bool {
	return f.Endpoint == c.endpoint &&
		(f.Count == 0 || f.taken < f.Count) &&
		(f.ClientID == "" || f.ClientID == c.clientID) &&
		(f.GrantType == "" || f.GrantType == c.grantType)
}

// around runs process as far as the fault allows and returns what would be answered.
func (f *activeFault) around(process func() answer) answer {
	if f == nil {
		return process()
	}
	f.delay()
	f.hold(BeforeProcessing)
	var a answer
	if f.Commit || (!f.Drop && f.Status == 0) {
		a = process()
	}
	f.hold(AfterProcessing)
	if f.Status != 0 {
		a = newAnswer(f.Status, cmp.Or(f.ContentType, "application/json;charset=UTF-8"), []byte(f.Body))
	}
	return f.edit(a)
}

// deliver sends a, as much of it as the fault lets through.
func (f *activeFault) deliver(w http.ResponseWriter, a answer) {
	if f != nil && f.Drop {
		panic(http.ErrAbortHandler)
	}
	a.writeTo(w, f != nil && f.Truncate)
}

func (f *activeFault) delay() {
	if f.DelayMillis == 0 {
		return
	}
	timer := time.NewTimer(time.Duration(f.DelayMillis) * time.Millisecond)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-f.released:
	}
}

func (f *activeFault) hold(at Point) {
	if !f.holds || f.point != at {
		return
	}
	select {
	case f.arrived <- struct{}{}:
		<-f.released
	case <-f.released:
	}
}

// edit adds the Retry-After header, and changes the members of a successful JSON answer.
func (f *activeFault) edit(a answer) answer {
	if f.RetryAfter != "" {
		a.header.Set("Retry-After", f.RetryAfter)
	}
	if !f.edits() || a.status != http.StatusOK {
		return a
	}
	var members map[string]any
	if err := json.Unmarshal(a.body, &members); err != nil {
		return a // a page has no members
	}
	for name, value := range f.Extra {
		members[name] = value
	}
	for name := range members {
		if slices.Contains(f.Omit, name) {
			delete(members, name)
		}
	}
	changed := jsonAnswer(a.status, members)
	changed.header = a.header
	return changed
}
