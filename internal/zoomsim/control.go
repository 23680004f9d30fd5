package zoomsim

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// maxControlBody bounds the body of a control request, in bytes.
const maxControlBody = 1 << 20

// controlRoute is one call of the control API. The list of them is the mux and the documentation at GET /_sim/ alike.
type controlRoute struct {
	Method string `json:"method"`
	Path   string `json:"path"`
	Does   string `json:"does"`
	run    func(*http.Request) (any, error)
}

func (s *Server) controlRoutes() {
	list := s.controlList()
	for _, route := range list {
		s.mux.HandleFunc(route.Method+" "+route.Path, serveControl(route.run))
	}
	index := map[string]any{"endpoints": list}
	s.mux.HandleFunc("GET /_sim/{$}", serveControl(func(*http.Request) (any, error) { return index, nil }))
}

func (s *Server) controlList() []controlRoute {
	return []controlRoute{
		{"GET", "/_sim/ledger", "every grant ever issued, and totals", s.getLedger},
		{"GET", "/_sim/clients", "registered clients, without secrets", s.getClients},
		{"POST", "/_sim/clients", "register a client, or change the fields named: " +
			"client_id, client_secret, name, redirect_uris, scopes, optional_scopes", s.postClient},
		{"GET", "/_sim/users", "users", s.getUsers},
		{"POST", "/_sim/users", "create a user, or change the fields named: " +
			"id or email says who; email, display_name, account_id, status (active, inactive, pending)", s.postUser},
		{"GET", "/_sim/switches", "switches", s.getSwitches},
		{"PATCH", "/_sim/switches", "change the switches named", s.patchSwitches},
		{"POST", "/_sim/grants/{id}/end", "end one grant; reason is optional", s.postEndGrant},
		{"POST", "/_sim/grants/end", "end the live grants of user and client, either may be left out; " +
			"reason is optional", s.postEndGrants},
		{"POST", "/_sim/expire", "expire the access tokens of user and client, either may be left out", s.postExpire},
		{"GET", "/_sim/faults", "faults, with the number of requests each has taken", s.getFaults},
		{"POST", "/_sim/faults", "add a fault: endpoint (authorize, token, revoke, me), client_id, grant_type, count; " +
			"delay_millis, commit, drop, status, body, content_type, truncate, retry_after, omit, extra", s.postFault},
		{"DELETE", "/_sim/faults", "remove all faults and let go of what they hold", s.deleteFaults},
		{"DELETE", "/_sim/faults/{id}", "remove one fault", s.deleteFault},
	}
}

// serveControl answers with the JSON of what run returns, or with {"error"} and 404 or 400. What a page of another
// origin sends is refused with 403: a web site that somebody has open must not end grants of his emulator.
func serveControl(run func(*http.Request) (any, error)) http.HandlerFunc {
	origins := http.NewCrossOriginProtection()
	return func(w http.ResponseWriter, r *http.Request) {
		if err := origins.Check(r); err != nil {
			controlError(http.StatusForbidden, err).writeTo(w, false)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxControlBody)
		result, err := run(r)
		switch {
		case err == nil:
			jsonAnswer(http.StatusOK, result).writeTo(w, false)
		case errors.Is(err, ErrNotFound):
			controlError(http.StatusNotFound, err).writeTo(w, false)
		default:
			controlError(http.StatusBadRequest, err).writeTo(w, false)
		}
	}
}

func controlError(status int, err error) answer {
	return jsonAnswer(status, map[string]string{"error": err.Error()})
}

// readBody decodes the body into v, see decode.
func readBody(r *http.Request, v any) error { return decode(r.Body, v) }

// decode reads one JSON object without unknown members into v. Nothing at all leaves v as it is.
func decode(body io.Reader, v any) error {
	dec := json.NewDecoder(body)
	dec.DisallowUnknownFields()
	err := dec.Decode(v)
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err == nil && dec.More() {
		err = errors.New("more than one JSON value")
	}
	if err != nil {
		return fmt.Errorf("%w: reading the JSON body: %w", ErrInvalid, err)
	}
	return nil
}
