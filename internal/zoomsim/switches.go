package zoomsim

import (
	"fmt"
	"time"
)

// What the zero values of Switches stand for.
const (
	defaultAccessSeconds  = 3599
	defaultRefreshSeconds = 90 * 24 * 60 * 60
	codeLife              = 5 * time.Minute
)

// Switches choose between behaviours that differ between years, apps or reports. The zero value of each is what Zoom
// is known, or most likely, to do today. A change applies to what is issued or asked afterwards.
type Switches struct {
	// BasicOnly refuses a client id and secret in the request's parameters, which Zoom has been seen to accept.
	BasicOnly bool `json:"basic_only"`
	// RefreshEndsAccessToken kills the earlier access tokens of a grant when it is refreshed (reported in 2022).
	RefreshEndsAccessToken bool `json:"refresh_ends_access_token"`
	// ConsentKeepsEarlierGrants leaves the older grants of a user and client alive when a newer consent is exchanged.
	ConsentKeepsEarlierGrants bool `json:"consent_keeps_earlier_grants"`
	// RefreshLifeAbsolute counts the life of a refresh token from the exchange. Otherwise each rotation starts it anew.
	RefreshLifeAbsolute bool `json:"refresh_life_absolute"`
	// RefreshLifeSeconds is the life of a refresh token. Zero means 90 days.
	RefreshLifeSeconds int `json:"refresh_life_seconds"`
	// AccessLifeSeconds is the life of an access token and the number given as expires_in. Zero means 3599.
	AccessLifeSeconds int `json:"access_life_seconds"`
}

// Switches returns the present switches.
func (s *Server) Switches() Switches {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state.switches
}

// SetSwitches replaces all switches. The error is ErrInvalid for a negative life.
func (s *Server) SetSwitches(sw Switches) error {
	_, err := s.changeSwitches(func(present *Switches) error {
		*present = sw
		return nil
	})
	return err
}

// changeSwitches applies change in one step and returns the switches as they are then.
func (s *Server) changeSwitches(change func(*Switches) error) (Switches, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sw := s.state.switches
	if err := change(&sw); err != nil {
		return s.state.switches, err
	}
	if sw.RefreshLifeSeconds < 0 || sw.AccessLifeSeconds < 0 {
		return s.state.switches, fmt.Errorf("%w: a token's life is negative; zero means the default", ErrInvalid)
	}
	s.state.switches = sw
	return sw, nil
}

// accessSeconds is the life of an access token issued now.
func (sw Switches) accessSeconds() int {
	if sw.AccessLifeSeconds == 0 {
		return defaultAccessSeconds
	}
	return sw.AccessLifeSeconds
}

// refreshExpiry is the end of a refresh token issued now, of a grant that began with an exchange at issued.
func (sw Switches) refreshExpiry(issued, now time.Time) time.Time {
	seconds := sw.RefreshLifeSeconds
	if seconds == 0 {
		seconds = defaultRefreshSeconds
	}
	start := now
	if sw.RefreshLifeAbsolute {
		start = issued
	}
	return start.Add(time.Duration(seconds) * time.Second)
}
