package zoomsim

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"
)

// snapshotVersion is raised when an older Restore would misread what is written.
const snapshotVersion = 1

// snapshot is the state at rest. Tokens and codes are there as SHA-256 only, so that the file opens nothing; clients have
// their secrets, which are the emulator's configuration.
type snapshot struct {
	Version  int           `json:"version"`
	Switches Switches      `json:"switches"`
	Clients  []Client      `json:"clients"`
	Users    []User        `json:"users"`
	Codes    []codeAtRest  `json:"codes"`
	Grants   []grantAtRest `json:"grants"`
	Totals   Totals        `json:"totals"`
}

type codeAtRest struct {
	Digest      digest    `json:"sha256"`
	ClientID    string    `json:"client_id"`
	UserID      string    `json:"user_id"`
	RedirectURI string    `json:"redirect_uri"`
	Scopes      []string  `json:"scopes"`
	Challenge   string    `json:"code_challenge,omitempty"`
	Method      string    `json:"code_challenge_method,omitempty"`
	Expires     time.Time `json:"expires"`
	Spent       bool      `json:"spent"`
}

type grantAtRest struct {
	ID             string         `json:"id"`
	ClientID       string         `json:"client_id"`
	UserID         string         `json:"user_id"`
	Scopes         []string       `json:"scopes"`
	Issued         time.Time      `json:"issued"`
	Rotated        time.Time      `json:"rotated,omitzero"`
	Ended          time.Time      `json:"ended,omitzero"`
	EndedReason    string         `json:"ended_reason,omitempty"`
	Generation     int            `json:"generation"`
	Exchanges      int            `json:"exchanges"`
	Rotations      int            `json:"rotations"`
	Refused        int            `json:"refused"`
	MaxInFlight    int            `json:"max_in_flight"`
	Refresh        digest         `json:"refresh_token_sha256"`
	RefreshExpires time.Time      `json:"refresh_token_expires"`
	Spent          []digest       `json:"spent_refresh_tokens_sha256,omitempty"`
	Access         []accessAtRest `json:"access_tokens"`
}

type accessAtRest struct {
	Digest  digest    `json:"sha256"`
	Expires time.Time `json:"expires"`
	Dead    bool      `json:"dead,omitempty"`
}

// Snapshot returns as JSON what Restore needs to carry on in a later process: clients, users, codes, grants, switches
// and totals. Faults and holds are left out, and with them requests that stand still. No token and no code is in it,
// only their digests; the clients' secrets are.
func (s *Server) Snapshot() ([]byte, error) {
	s.mu.Lock()
	shot := s.state.snapshot()
	s.mu.Unlock()
	data, err := json.Marshal(shot)
	if err != nil {
		return nil, fmt.Errorf("writing a snapshot: %w", err)
	}
	return data, nil
}

// Restore replaces the state with that of a snapshot; faults at work stay. The error is ErrInvalid for what Snapshot did
// not write, and the state is then as it was.
func (s *Server) Restore(data []byte) error {
	var shot snapshot
	if err := json.Unmarshal(data, &shot); err != nil {
		return fmt.Errorf("%w: snapshot: %w", ErrInvalid, err)
	}
	restored, err := shot.state()
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	restored.faults, restored.faultSeq = s.state.faults, s.state.faultSeq
	s.state = restored
	return nil
}

// snapshot copies everything that later changes in place.
func (st *state) snapshot() snapshot {
	shot := snapshot{Version: snapshotVersion, Switches: st.switches, Totals: st.totals}
	for _, id := range slices.Sorted(maps.Keys(st.clients)) {
		shot.Clients = append(shot.Clients, st.clients[id].clone())
	}
	for _, id := range slices.Sorted(maps.Keys(st.users)) {
		shot.Users = append(shot.Users, *st.users[id])
	}
	for _, d := range slices.Sorted(maps.Keys(st.codes)) {
		c := st.codes[d]
		shot.Codes = append(shot.Codes, codeAtRest{
			Digest: d, ClientID: c.clientID, UserID: c.userID, RedirectURI: c.redirectURI, Scopes: c.scopes,
			Challenge: c.pkce.challenge, Method: c.pkce.method, Expires: c.expires, Spent: c.spent,
		})
	}
	spent := map[*grant][]digest{}
	for d, t := range st.refresh {
		if d != t.grant.refresh {
			spent[t.grant] = append(spent[t.grant], d)
		}
	}
	for _, g := range st.grants {
		slices.Sort(spent[g])
		shot.Grants = append(shot.Grants, g.atRest(spent[g]))
	}
	return shot
}

func (g *grant) atRest(spent []digest) grantAtRest {
	r := grantAtRest{
		ID: g.id, ClientID: g.clientID, UserID: g.userID, Scopes: g.scopes, Issued: g.issued, Rotated: g.rotated,
		Ended: g.ended, EndedReason: g.endedReason, Generation: g.generation, Exchanges: g.exchanges,
		Rotations: g.rotations, Refused: g.refused, MaxInFlight: g.maxInFlight,
		Refresh: g.refresh, RefreshExpires: g.refreshExpires, Spent: spent,
	}
	for _, t := range g.access {
		r.Access = append(r.Access, accessAtRest{Digest: t.digest, Expires: t.expires, Dead: t.dead})
	}
	return r
}

// state is the inverse of state.snapshot. Errors: ErrInvalid.
func (shot snapshot) state() (*state, error) {
	if shot.Version != snapshotVersion {
		return nil, fmt.Errorf("%w: a snapshot of version %d, want %d", ErrInvalid, shot.Version, snapshotVersion)
	}
	st := newState()
	st.switches, st.totals = shot.Switches, shot.Totals
	for _, c := range shot.Clients {
		if err := c.validate(); err != nil {
			return nil, err
		}
		st.clients[c.ID] = c
	}
	for _, u := range shot.Users {
		st.users[u.ID], st.byEmail[u.Email] = &u, u.ID
	}
	for _, c := range shot.Codes {
		st.codes[c.Digest] = &code{
			clientID: c.ClientID, userID: c.UserID, redirectURI: c.RedirectURI, scopes: c.Scopes,
			pkce: pkce{challenge: c.Challenge, method: c.Method}, expires: c.Expires, spent: c.Spent,
		}
	}
	for _, r := range shot.Grants {
		if err := st.restoreGrant(r); err != nil {
			return nil, err
		}
	}
	return st, nil
}

func (st *state) restoreGrant(r grantAtRest) error {
	_, known := st.users[r.UserID]
	if r.ID == "" || r.Refresh == "" || len(r.Access) == 0 || !known {
		return fmt.Errorf("%w: grant %q of a snapshot has no user or no tokens", ErrInvalid, r.ID)
	}
	g := &grant{
		id: r.ID, clientID: r.ClientID, userID: r.UserID, scopes: r.Scopes, issued: r.Issued, rotated: r.Rotated,
		ended: r.Ended, endedReason: r.EndedReason, generation: r.Generation, exchanges: r.Exchanges,
		rotations: r.Rotations, refused: r.Refused, maxInFlight: r.MaxInFlight,
		refresh: r.Refresh, refreshExpires: r.RefreshExpires,
	}
	st.grants = append(st.grants, g)
	for _, d := range append(r.Spent, r.Refresh) {
		st.refresh[d] = &refreshToken{grant: g}
	}
	for _, a := range r.Access {
		t := &accessToken{digest: a.Digest, grant: g, expires: a.Expires, dead: a.Dead}
		g.access = append(g.access, t)
		st.access[a.Digest] = t
	}
	return nil
}
