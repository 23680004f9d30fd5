package zoomsim

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
)

// success is the result of a control call that has nothing to tell.
func success() map[string]string { return map[string]string{"status": "success"} }

func (s *Server) getLedger(*http.Request) (any, error) { return s.Ledger(), nil }

func (s *Server) getClients(*http.Request) (any, error) {
	return map[string]any{"clients": s.Clients()}, nil
}

// postClient changes the fields that the body names, so that those left out keep their values.
func (s *Server) postClient(r *http.Request) (any, error) {
	var change struct {
		ID             string    `json:"client_id"`
		Secret         *string   `json:"client_secret"`
		Name           *string   `json:"name"`
		RedirectURIs   *[]string `json:"redirect_uris"`
		Scopes         *[]string `json:"scopes"`
		OptionalScopes *[]string `json:"optional_scopes"`
	}
	if err := readBody(r, &change); err != nil {
		return nil, err
	}
	client, err := s.changeClient(change.ID, func(c *Client) {
		set(&c.Secret, change.Secret)
		set(&c.Name, change.Name)
		set(&c.RedirectURIs, change.RedirectURIs)
		set(&c.Scopes, change.Scopes)
		set(&c.OptionalScopes, change.OptionalScopes)
	})
	client.Secret = ""
	return client, err
}

func set[T any](field *T, change *T) {
	if change != nil {
		*field = *change
	}
}

func (s *Server) getUsers(*http.Request) (any, error) {
	return map[string]any{"users": s.Users()}, nil
}

func (s *Server) postUser(r *http.Request) (any, error) {
	var change struct {
		ID          string     `json:"id"`
		AccountID   string     `json:"account_id"`
		Email       string     `json:"email"`
		DisplayName string     `json:"display_name"`
		Status      UserStatus `json:"status"`
	}
	if err := readBody(r, &change); err != nil {
		return nil, err
	}
	return s.PutUser(User{
		ID: change.ID, AccountID: change.AccountID, Email: change.Email,
		DisplayName: change.DisplayName, Status: change.Status,
	})
}

func (s *Server) getSwitches(*http.Request) (any, error) { return s.Switches(), nil }

func (s *Server) patchSwitches(r *http.Request) (any, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, fmt.Errorf("%w: reading the body: %w", ErrInvalid, err)
	}
	return s.changeSwitches(func(sw *Switches) error { return decode(bytes.NewReader(body), sw) })
}

// selection says which grants a control call is about.
type selection struct {
	User   string `json:"user"`   // id, e-mail address or bare name; empty means any
	Client string `json:"client"` // client id; empty means any
}

func (s *Server) postEndGrant(r *http.Request) (any, error) {
	var body struct {
		Reason string `json:"reason"`
	}
	if err := readBody(r, &body); err != nil {
		return nil, err
	}
	return success(), s.EndGrant(r.PathValue("id"), body.Reason)
}

func (s *Server) postEndGrants(r *http.Request) (any, error) {
	var body struct {
		selection
		Reason string `json:"reason"`
	}
	if err := readBody(r, &body); err != nil {
		return nil, err
	}
	n, err := s.EndGrants(body.User, body.Client, body.Reason)
	return map[string]int{"ended": n}, err
}

func (s *Server) postExpire(r *http.Request) (any, error) {
	var body selection
	if err := readBody(r, &body); err != nil {
		return nil, err
	}
	n, err := s.ExpireAccessTokens(body.User, body.Client)
	return map[string]int{"expired": n}, err
}

func (s *Server) getFaults(*http.Request) (any, error) {
	return map[string]any{"faults": s.Faults()}, nil
}

func (s *Server) postFault(r *http.Request) (any, error) {
	var f Fault
	if err := readBody(r, &f); err != nil {
		return nil, err
	}
	id, err := s.AddFault(f)
	return map[string]string{"id": id}, err
}

func (s *Server) deleteFaults(*http.Request) (any, error) {
	s.ClearFaults()
	return success(), nil
}

func (s *Server) deleteFault(r *http.Request) (any, error) {
	return success(), s.RemoveFault(r.PathValue("id"))
}
