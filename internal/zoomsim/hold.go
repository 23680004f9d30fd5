package zoomsim

import (
	"fmt"
	"sync"
)

// Point is where a Hold stops a request.
type Point int

// The points of a Hold.
const (
	// BeforeProcessing: the emulator has the request and nothing has happened yet.
	BeforeProcessing Point = iota
	// AfterProcessing: everything has happened, a rotation for example, and the answer has not left.
	AfterProcessing
)

// Hold keeps requests standing still until a test lets them go, so that tests order events without sleeping.
// A held request carries on even when its caller has left.
type Hold struct {
	fault *activeFault
	let   func()
}

// Hold stops the requests that f matches at the point. What else f does, if anything, happens after Release.
// The error is ErrInvalid, as of AddFault. ClearFaults releases as well.
func (s *Server) Hold(f Fault, at Point) (*Hold, error) {
	if at != BeforeProcessing && at != AfterProcessing {
		return nil, fmt.Errorf("%w: point %d of a hold", ErrInvalid, at)
	}
	if err := f.validate(); err != nil {
		return nil, err
	}
	active := &activeFault{Fault: f, holds: true, point: at, arrived: make(chan struct{})}
	id := s.addFault(active)
	release := func() { _ = s.RemoveFault(id) } // not found: ClearFaults was here first
	return &Hold{fault: active, let: sync.OnceFunc(release)}, nil
}

// Arrived yields one value for each request that stands at the point. It is never closed.
func (h *Hold) Arrived() <-chan struct{} { return h.fault.arrived }

// Release lets all held requests go and stops none from now on. It may be called more than once.
func (h *Hold) Release() { h.let() }
