package hashicorp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/hashicorp/vault/api"
)

// maxAnswer bounds what is read of an answer, in bytes: a million names of a list.
const maxAnswer = 64 << 20

// Pauses between attempts are drawn from zero to a bound that begins at minPause and doubles up to maxPause.
const (
	minPause = 50 * time.Millisecond
	maxPause = 2 * time.Second
)

// request is one request of Vault's API.
type request struct {
	method, path string
	// body is marshalled to JSON where it is not nil.
	body any
	// query is for reads.
	query map[string][]string
	// once says that doing it twice is not doing it once: it is sent again only where it certainly was not carried out.
	once bool
	// head says that only the active node may answer.
	head bool
}

func (r request) String() string { return r.method + " " + r.path }

// answer is what Vault's answers have in common.
type answer struct {
	Data   json.RawMessage `json:"data"`
	Errors []string        `json:"errors"`
}

// call sends the request as the identity until it is answered for good, and decodes what the answer's data holds into
// out, which may be nil. While Vault is known to be away nothing is sent. Errors: *answerError, *sentError, vault.ErrAway,
// and those of logging in.
func (v *Vault) call(ctx context.Context, id *identity, r request, out any) error {
	if err := v.gate.enter(ctx); err != nil {
		return fmt.Errorf("%s: %w", r, err)
	}
	err := v.repeat(ctx, id, r, out)
	v.gate.note(err)
	return err
}

// repeat is call without the gate, but that it sends nothing again once another request has found Vault away.
func (v *Vault) repeat(ctx context.Context, id *identity, r request, out any) error {
	renewed := false
	for attempt := 0; ; attempt++ {
		s, err := id.session(ctx)
		if err != nil {
			return err
		}
		err = v.attempt(ctx, s, r, out)
		if err == nil {
			return nil
		}
		// A token that ended early is nobody's fault but ours.
		if !renewed && refused(err) && id.ended(ctx, s, err) {
			renewed = true
			if _, err := id.replace(ctx, s); err != nil {
				return err
			}
			continue
		}
		if attempt >= v.options.Retries || !r.again(err) || pause(ctx, attempt) != nil || v.gate.enter(ctx) != nil {
			return err
		}
	}
}

// again reports whether the request may be sent again after this error.
func (r request) again(err error) bool {
	var sent *sentError
	if errors.As(err, &sent) {
		// A server that is slow is not helped by more requests.
		return sent.never || !r.once && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled)
	}
	e, ok := asAnswer(err)
	switch {
	case !ok:
		return false
	case e.status == http.StatusTooManyRequests || e.status == http.StatusPreconditionFailed:
		return true // refused before anything was done
	default:
		return !r.once && e.status >= http.StatusInternalServerError
	}
}

func refused(err error) bool {
	e, ok := asAnswer(err)
	return ok && e.status == http.StatusForbidden
}

// pause waits before the next attempt. Errors: the context's.
func pause(ctx context.Context, attempt int) error {
	return sleep(ctx, rand.N(min(minPause<<attempt, maxPause))) //nolint:gosec // jitter needs no secret randomness
}

// sleep waits. Errors: the context's.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// attempt sends the request once; a read of the head is sent a second time where Vault refuses the header.
func (v *Vault) attempt(ctx context.Context, s *session, r request, out any) error {
	if !r.head || v.headless.Load() {
		return v.send(ctx, s.client, r, out)
	}
	err := v.send(ctx, s.headClient, r, out)
	if e, ok := asAnswer(err); ok && e.status == http.StatusBadRequest && e.says(api.HeaderForward) {
		if !v.headless.Swap(true) {
			v.warnHeadless(ctx, s)
		}
		return v.send(ctx, s.client, r, out)
	}
	return err
}

// warnHeadless says what to do where the header matters: without Enterprise every standby hands reads on by itself.
func (v *Vault) warnHeadless(ctx context.Context, s *session) {
	ctx, cancel := context.WithTimeout(ctx, v.options.Timeout)
	defer cancel()
	is, err := s.client.Sys().HealthWithContext(ctx)
	if err != nil || is.Enterprise {
		v.logger().WarnContext(ctx, "vault does not take the header that asks for its active node, so that a performance standby may answer "+
			"with what is out of date: set allow_forwarding_via_header in the replication stanza of its configuration", "header", api.HeaderForward)
	}
}

// send sends the request once. One that is sent once only is carried through when its caller leaves; deadlines hold.
func (v *Vault) send(ctx context.Context, c *api.Client, r request, out any) error {
	if err := ctx.Err(); err != nil {
		return &sentError{what: r.String(), never: true, cause: err}
	}
	deadline, ok := ctx.Deadline()
	if r.once {
		ctx = context.WithoutCancel(ctx)
	}
	patient := false
	if ours := time.Now().Add(v.options.Timeout); !ok || ours.Before(deadline) {
		deadline, patient = ours, true
	}
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	response, err := transmit(ctx, c, r)
	if response != nil {
		defer response.Body.Close()
	}
	if response != nil && response.StatusCode == http.StatusNotFound {
		return notFound(r, response, out)
	}
	if err != nil {
		if response != nil && response.StatusCode == http.StatusBadRequest {
			salvage(response, out)
		}
		err = requestError(r.String(), err)
		var sent *sentError
		if errors.As(err, &sent) {
			sent.silent = patient && errors.Is(err, context.DeadlineExceeded)
		}
		return err
	}
	return decode(r, response, out)
}

// transmit hands the request to the library, in its raw form: the other one takes any 404 for "there is nothing".
func transmit(ctx context.Context, c *api.Client, r request) (*api.Response, error) {
	switch r.method {
	case http.MethodGet:
		return c.Logical().ReadRawWithDataWithContext(ctx, r.path, r.query)
	case http.MethodDelete:
		return c.Logical().DeleteRawWithContext(ctx, r.path)
	default:
		body, err := json.Marshal(r.body)
		if err != nil {
			return nil, err
		}
		return c.Logical().WriteRawWithContext(ctx, r.path, body)
	}
}

// notFound tells Vault's "there is nothing" (no words) from its "no such mount" and from a proxy's page. What KV says of a
// version that was deleted is decoded.
func notFound(r request, response *api.Response, out any) error {
	e := &answerError{what: r.String(), status: http.StatusNotFound}
	var a answer
	if err := readAnswer(response, &a); err != nil {
		e.said = []string{"not an answer of Vault's"}
		return e
	}
	e.said = a.Errors
	if len(a.Data) > 0 && out != nil {
		_ = json.Unmarshal(a.Data, out)
	}
	return e
}

// salvage decodes what a refusal holds beside its words: of a batch, what became of each item.
func salvage(response *api.Response, out any) {
	var a answer
	if out != nil && readAnswer(response, &a) == nil && len(a.Data) > 0 {
		_ = json.Unmarshal(a.Data, out)
	}
}

func decode(r request, response *api.Response, out any) error {
	if response.StatusCode == http.StatusNoContent || out == nil {
		return nil
	}
	var a answer
	err := readAnswer(response, &a)
	if err == nil && len(a.Data) == 0 {
		err = errors.New("an answer without data")
	}
	if err == nil {
		err = json.Unmarshal(a.Data, out)
	}
	if err != nil {
		return &sentError{what: r.String(), cause: fmt.Errorf("reading the answer: %w", scrubbed(err))}
	}
	return nil
}

// readAnswer decodes a body that is Vault's; an empty one is not.
func readAnswer(response *api.Response, a *answer) error {
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return err
	}
	return json.Unmarshal(body, a)
}

// scrubbed drops the text of decoding errors, which quote what they could not decode; it keeps those of contexts.
func scrubbed(err error) error {
	for _, kept := range []error{context.DeadlineExceeded, context.Canceled, io.ErrUnexpectedEOF, io.EOF} {
		if errors.Is(err, kept) {
			return kept
		}
	}
	return errors.New("it is not what Vault answers")
}
