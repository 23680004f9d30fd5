package oauth

import (
	"context"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"

	"golang.org/x/oauth2"

	"github.com/tokenkeep/tokenkeep/internal/secret"
)

// reply is a provider's answer, as far as it could be read.
type reply struct {
	status int
	header http.Header
	body   []byte
	// readErr is set where the body was cut off or too long.
	readErr error
}

// post sends a form with the client's authentication. It returns a reply, or an *Error where none came.
func (c *Client) post(ctx context.Context, app App, call Call, endpoint string, form url.Values) (reply, *Error) {
	authenticate := app.credentials(form)
	req, err := http.NewRequest(http.MethodPost, endpoint, strings.NewReader(form.Encode()))
	if err != nil || endpoint == "" {
		return reply{}, &Error{Outcome: Rejected, Reason: ReasonProviderError, Message: "The provider has no usable endpoint for this call."}
	}
	authenticate(req)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return c.do(ctx, call, req)
}

// credentials puts the client's id and secret where the provider wants them: into the form, or into the header that the
// returned function sets. In the header both are form-urlencoded first (RFC 6749 2.3.1). A public client has no secret
// and names itself in the form (3.2.1).
func (a App) credentials(form url.Values) func(*http.Request) {
	if !a.ClientSecret.IsZero() && a.Provider.AuthStyle != oauth2.AuthStyleInParams {
		return func(r *http.Request) {
			r.SetBasicAuth(url.QueryEscape(a.ClientID), url.QueryEscape(a.ClientSecret.Reveal()))
		}
	}
	form.Set("client_id", a.ClientID)
	if !a.ClientSecret.IsZero() {
		form.Set("client_secret", a.ClientSecret.Reveal())
	}
	return func(*http.Request) {}
}

// do makes the call under the client's timeout.
func (c *Client) do(ctx context.Context, call Call, req *http.Request) (reply, *Error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	if err := ctx.Err(); err != nil {
		return reply{}, networkError(call, false, err)
	}
	var w wire
	req = req.WithContext(httptrace.WithClientTrace(ctx, w.trace()))
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "tokenkeep")
	resp, err := c.http.Do(req)
	if err != nil {
		return reply{}, networkError(call, w.mayHaveSent(), err)
	}
	defer func() { _ = resp.Body.Close() }()
	r := reply{status: resp.StatusCode, header: resp.Header}
	r.body, r.readErr = readCapped(resp.Body, c.maxBody)
	return r, nil
}

func readCapped(body io.Reader, limit int64) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(body, limit+1))
	if err == nil && int64(len(text)) > limit {
		return text[:limit], errTooLong
	}
	return text, err
}

// classified turns a reply that is no success into an *Error. What was sent is kept out of the provider's code, should
// the provider echo it there.
func (c *Client) classified(call Call, r reply, sent ...secret.Text) *Error {
	if r.readErr != nil {
		r.body = nil
	}
	e := Classify(call, r.status, r.header, r.body, c.now())
	if r.readErr != nil {
		e.Cause, e.Reason = scrub(r.readErr), ReasonNetwork
	}
	for _, s := range sent {
		if echoes(e.ProviderCode, s) {
			e.ProviderCode = ""
		}
	}
	return e
}

// echoes reports whether a provider's code holds what was sent, or is a piece of it that is long enough to matter.
func echoes(code string, sent secret.Text) bool {
	const piece = 8
	return !sent.IsZero() && (strings.Contains(code, sent.Reveal()) || len(code) >= piece && strings.Contains(sent.Reveal(), code))
}

// wire watches whether a request may have left this process.
//
// GotConn is the border, not WroteHeaders: when a deadline ends the call, the goroutine that writes may still be at it.
// GetConn comes again only when the transport retries, and it retries a POST only when not one byte was written (HTTP/1)
// or the server declared the stream unprocessed (HTTP/2). A transport that never asks for a connection does not trace;
// of such a one nothing is known.
type wire struct{ asked, connected atomic.Bool }

func (w *wire) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		GetConn: func(string) { w.connected.Store(false); w.asked.Store(true) },
		GotConn: func(httptrace.GotConnInfo) { w.connected.Store(true) },
	}
}

func (w *wire) mayHaveSent() bool { return w.connected.Load() || !w.asked.Load() }
