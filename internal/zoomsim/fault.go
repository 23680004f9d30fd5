package zoomsim

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
)

// maxDelayMillis bounds Fault.DelayMillis: ten minutes.
const maxDelayMillis = 10 * 60 * 1000

// Fault makes an endpoint misbehave. The first three fields say which requests it takes, Count how many of them, the
// rest what happens to them. A request is taken by the oldest fault that matches it, and by no other.
//
// A fault with Drop or Status keeps the request from being processed, unless Commit is set: then the emulator does
// all it was asked, the refresh token is rotated, and the caller never sees the answer.
type Fault struct {
	// Endpoint is required.
	Endpoint Endpoint `json:"endpoint"`
	// ClientID and GrantType narrow the match. Empty matches all.
	ClientID  string `json:"client_id,omitempty"`
	GrantType string `json:"grant_type,omitempty"`
	// Count is the number of requests to take. Zero means all until the fault is removed.
	Count int `json:"count,omitempty"`

	// DelayMillis waits before processing, in milliseconds of the wall clock, at most ten minutes. Processing follows
	// even when the caller has left, as it would at Zoom.
	DelayMillis int `json:"delay_millis,omitempty"`
	// Commit processes the request before Drop or Status takes the place of its answer.
	Commit bool `json:"commit,omitempty"`
	// Drop closes the connection without an answer.
	Drop bool `json:"drop,omitempty"`
	// Status, 200 to 599, and Body replace the answer; ContentType is application/json unless it is given.
	Status      int    `json:"status,omitempty"`
	Body        string `json:"body,omitempty"`
	ContentType string `json:"content_type,omitempty"`
	// Truncate sends all headers, Content-Length of the whole body included, half of the body, and closes.
	Truncate bool `json:"truncate,omitempty"`
	// RetryAfter is set as the Retry-After header of whatever is answered.
	RetryAfter string `json:"retry_after,omitempty"`
	// Omit removes members from a successful JSON answer, Extra adds or replaces them.
	Omit  []string       `json:"omit,omitempty"`
	Extra map[string]any `json:"extra,omitempty"`
}

// FaultState is a fault that was added, and what became of it.
type FaultState struct {
	ID string `json:"id"`
	// Taken is the number of requests the fault has taken. One that took all it may stays listed until removed.
	Taken int `json:"taken"`
	Fault
}

// AddFault adds a fault and returns its id. The error is ErrInvalid for a fault that matches or does nothing, or that
// contradicts itself.
func (s *Server) AddFault(f Fault) (id string, err error) {
	if !f.acts() {
		return "", fmt.Errorf("%w: a fault needs one of delay_millis, drop, status, truncate, retry_after, omit or extra", ErrInvalid)
	}
	if err := f.validate(); err != nil {
		return "", err
	}
	return s.addFault(&activeFault{Fault: f}), nil
}

// Faults lists the faults in the order in which they were added.
func (s *Server) Faults() []FaultState {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]FaultState, 0, len(s.state.faults))
	for _, f := range s.state.faults {
		list = append(list, FaultState{ID: f.id, Taken: f.taken, Fault: f.Fault})
	}
	return list
}

// RemoveFault removes a fault and lets go of the requests that wait in it. The error is ErrNotFound.
func (s *Server) RemoveFault(id string) error {
	if s.removeFaults(func(f *activeFault) bool { return f.id == id }) == 0 {
		return fmt.Errorf("%w: fault %q", ErrNotFound, id)
	}
	return nil
}

// ClearFaults removes all faults, holds included, and lets go of the requests that wait in them.
func (s *Server) ClearFaults() {
	s.removeFaults(func(*activeFault) bool { return true })
}

func (s *Server) addFault(f *activeFault) (id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state.faultSeq++
	f.id = "fault-" + strconv.Itoa(s.state.faultSeq)
	f.released = make(chan struct{})
	s.state.faults = append(s.state.faults, f)
	return f.id
}

func (s *Server) removeFaults(which func(*activeFault) bool) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := len(s.state.faults)
	s.state.faults = slices.DeleteFunc(s.state.faults, func(f *activeFault) bool {
		if !which(f) {
			return false
		}
		close(f.released)
		return true
	})
	return before - len(s.state.faults)
}

// takeFault returns the oldest fault that matches c and has requests left to take, or nil.
func (s *Server) takeFault(c *call) *activeFault {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.state.faults {
		if f.matches(c) {
			f.taken++
			return f
		}
	}
	return nil
}

// acts reports whether the fault does anything to a request.
func (f Fault) acts() bool {
	return f.DelayMillis > 0 || f.Drop || f.Status != 0 || f.Truncate || f.RetryAfter != "" || f.edits()
}

func (f Fault) edits() bool { return len(f.Omit) > 0 || len(f.Extra) > 0 }

func (f Fault) validate() error {
	var problem string
	switch {
	case !slices.Contains([]Endpoint{EndpointAuthorize, EndpointToken, EndpointRevoke, EndpointMe}, f.Endpoint):
		problem = "endpoint must be authorize, token, revoke or me"
	case f.Count < 0:
		problem = "count is negative"
	case f.DelayMillis < 0 || f.DelayMillis > maxDelayMillis:
		problem = "delay_millis must be between 0 and " + strconv.Itoa(maxDelayMillis)
	case f.Status != 0 && (f.Status < http.StatusOK || f.Status > 599):
		problem = "status must be between 200 and 599"
	case f.Status == 0 && (f.Body != "" || f.ContentType != ""):
		problem = "body and content_type need a status"
	case f.Drop && (f.Status != 0 || f.Truncate || f.RetryAfter != "" || f.edits()):
		problem = "drop leaves no answer to change"
	case f.Status != 0 && f.edits():
		problem = "omit and extra change the endpoint's own answer, which status replaces"
	case f.Commit && !f.Drop && f.Status == 0:
		problem = "commit goes with drop or status; every other fault processes the request anyway"
	default:
		return nil
	}
	return fmt.Errorf("%w: %s", ErrInvalid, problem)
}
