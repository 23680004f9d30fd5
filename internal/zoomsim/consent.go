package zoomsim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// maxPage bounds the consent page that Consent reads, in bytes.
const maxPage = 1 << 20

// Consent does what a user's browser does: it fetches the consent page at authorizeURL, submits the page's first form
// as it stands, and returns what the redirect to the app carries, without following it. The redirect's state is empty
// when the request had none. A nil client means http.DefaultClient; its CheckRedirect is not used.
//
// An error says at which step it stopped, with the beginning of an unexpected answer; a refusal that was redirected to
// the app is reported with the value of its error parameter.
func Consent(ctx context.Context, client *http.Client, authorizeURL string) (code, state string, err error) {
	browser := http.Client{}
	if client != nil {
		browser = *client
	}
	browser.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

	req, err := http.NewRequestWithContext(ctx, http.MethodGet, authorizeURL, nil)
	if err != nil {
		return "", "", fmt.Errorf("fetching the consent page: %w", err)
	}
	page, res, err := fetch(&browser, req)
	if err != nil {
		return "", "", fmt.Errorf("fetching the consent page: %w", err)
	}
	if res.StatusCode != http.StatusOK {
		return "", "", fmt.Errorf("fetching the consent page: %s", unexpected(res, page))
	}
	submit, err := submission(ctx, res.Request.URL, page)
	if err != nil {
		return "", "", fmt.Errorf("reading the consent page: %w", err)
	}
	body, res, err := fetch(&browser, submit)
	if err != nil {
		return "", "", fmt.Errorf("submitting the consent: %w", err)
	}
	return landing(res, body)
}

// submission makes the request that a browser sends for the first form of the page at base.
func submission(ctx context.Context, base *url.URL, page string) (*http.Request, error) {
	f, err := firstForm(page)
	if err != nil {
		return nil, err
	}
	target, err := base.Parse(f.action)
	if err != nil {
		return nil, fmt.Errorf("resolving the form's action: %w", err)
	}
	if !strings.EqualFold(f.method, http.MethodPost) {
		target.RawQuery = f.fields.Encode()
		return http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target.String(), strings.NewReader(f.fields.Encode()))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return req, nil
}

// landing reads code and state off the redirect to the app.
func landing(res *http.Response, body string) (code, state string, err error) {
	if res.StatusCode != http.StatusFound && res.StatusCode != http.StatusSeeOther {
		return "", "", fmt.Errorf("submitting the consent: %s", unexpected(res, body))
	}
	location, err := res.Location()
	if err != nil {
		return "", "", fmt.Errorf("reading the redirect: %w", err)
	}
	query := location.Query()
	if refusal := query.Get("error"); refusal != "" {
		return "", query.Get("state"), fmt.Errorf("consent was refused: %s", refusal)
	}
	if query.Get("code") == "" {
		return "", query.Get("state"), errors.New("reading the redirect: it carries neither code nor error")
	}
	return query.Get("code"), query.Get("state"), nil
}

func fetch(client *http.Client, req *http.Request) (body string, res *http.Response, err error) {
	res, err = client.Do(req)
	if err != nil {
		return "", nil, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, maxPage))
	return string(b), res, err
}

// unexpected describes an answer that is not the one asked for.
func unexpected(res *http.Response, body string) string {
	return fmt.Sprintf("unexpected answer %d: %.300s", res.StatusCode, body)
}
