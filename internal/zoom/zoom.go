// Package zoom makes the calls to Zoom's REST API that a connection service needs.
//
// Mechanism: one GET per method with the access token as bearer, against the API base that the connection keeps (Zoom
// names a regional one in each token answer). Failures are *Error with a Kind; the kind of "scope missing" is taken from
// the message's text, because its number and status vary (400, 401, 403; 4711, 4700, 201).
//
// Limit: no retries, no refresh, no storage; the base address must have passed the provider's allow-list already.
package zoom

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/tokenkeep/tokenkeep/internal/secret"
)

// maxBody caps an answer, in bytes.
const maxBody = 1 << 20

// Options configure a Client. The zero value works.
type Options struct {
	// Transport carries the requests; nil means http.DefaultTransport, which verifies TLS.
	Transport http.RoundTripper
	// Timeout caps one call, dialling and reading included; zero means 20 seconds.
	Timeout time.Duration
	// Now is the clock that waits are counted from where an answer has no Date; nil means time.Now.
	Now func() time.Time
}

// Client calls Zoom's REST API. It is safe for concurrent use.
type Client struct {
	http *http.Client
	now  func() time.Time
}

// New returns a client.
func New(o Options) *Client {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Client{
		now: o.Now,
		http: &http.Client{
			Transport: o.Transport,
			Timeout:   cmp.Or(o.Timeout, 20*time.Second),
			// A bearer token goes where it was addressed, or nowhere.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// User is what connections need to know of a Zoom user.
type User struct {
	ID, AccountID, Email, DisplayName string
	// Status is "active", "inactive" or "pending"; empty where Zoom does not say.
	Status string
}

// Active reports whether Zoom lets the user work. An answer without a status counts as active: the field is optional.
func (u User) Active() bool { return u.Status == "" || u.Status == "active" }

// Me asks whose access token it is: GET {apiBase}/v2/users/me. Failures are *Error. An inactive user is returned together
// with one of kind KindInactive, so that the caller knows whose grant it is.
func (c *Client) Me(ctx context.Context, apiBase string, accessToken secret.Text) (User, error) {
	body, err := c.get(ctx, apiBase, "/v2/users/me", accessToken)
	if err != nil {
		return User{}, err
	}
	u, err := decodeUser(body)
	if err != nil {
		return User{}, err
	}
	if !u.Active() {
		return u, &Error{Kind: KindInactive, Status: http.StatusOK,
			Message: "The Zoom user is not active. An admin of the Zoom account must activate the user first."}
	}
	return u, nil
}

func decodeUser(body []byte) (User, error) {
	var m struct {
		ID          string `json:"id"`
		AccountID   string `json:"account_id"`
		Email       string `json:"email"`
		DisplayName string `json:"display_name"`
		FirstName   string `json:"first_name"`
		LastName    string `json:"last_name"`
		Status      string `json:"status"`
	}
	if err := json.Unmarshal(body, &m); err != nil || m.ID == "" {
		return User{}, &Error{Kind: KindUnavailable, Status: http.StatusOK, Message: "Zoom's answer does not name the user. Try again later."}
	}
	name := cmp.Or(m.DisplayName, strings.TrimSpace(m.FirstName+" "+m.LastName))
	return User{ID: m.ID, AccountID: m.AccountID, Email: m.Email, DisplayName: name, Status: m.Status}, nil
}

// get returns the body of a successful answer.
func (c *Client) get(ctx context.Context, apiBase, path string, accessToken secret.Text) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimRight(apiBase, "/")+path, nil)
	if err != nil || apiBase == "" {
		return nil, &Error{Kind: KindRejected, Message: "The connection has no usable API address."}
	}
	req.Header.Set("Authorization", "Bearer "+accessToken.Reveal())
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "tokenkeep")
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, unanswered(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err != nil {
		return nil, unanswered(err)
	}
	if resp.StatusCode/100 != 2 {
		return nil, Classify(resp.StatusCode, resp.Header, body, c.now())
	}
	return body, nil
}

// unanswered is for a call without a readable answer. Of an error that may quote what Zoom sent only the type is kept.
func unanswered(err error) *Error {
	e := &Error{Kind: KindUnavailable, Message: "Zoom did not answer. Try again later."}
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	switch {
	case errors.Is(err, context.Canceled):
		e.Cause = context.Canceled
	case errors.Is(err, context.DeadlineExceeded):
		e.Cause = context.DeadlineExceeded
	case isNetwork(err):
		e.Cause = err
	default:
		e.Cause = fmt.Errorf("protocol error of type %T", err)
	}
	return e
}
