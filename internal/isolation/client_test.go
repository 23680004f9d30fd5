package isolation_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
)

// answer is what came back.
type answer struct {
	Data   map[string]json.RawMessage `json:"data"`
	Errors []problem                  `json:"errors"`

	status int
	header http.Header
	body   string
}

type problem struct {
	Message    string         `json:"message"`
	Extensions map[string]any `json:"extensions"`
}

// exchange is one request and the body that came back.
type exchange struct{ what, body string }

// code is the first error's; empty where all went well.
func (a answer) code() string {
	if len(a.Errors) == 0 {
		return ""
	}
	code, _ := a.Errors[0].Extensions["code"].(string)
	return code
}

// comparable is the answer without what is the request's own.
func (a answer) comparable() string {
	var b strings.Builder
	body := a.body
	for _, e := range a.Errors {
		if requestID, _ := e.Extensions["requestId"].(string); requestID != "" {
			body = strings.ReplaceAll(body, requestID, "REQUEST")
		}
	}
	h := a.header.Clone()
	h.Del("X-Request-Id")
	h.Del("Date")
	_, _ = b.WriteString(http.StatusText(a.status) + "\n")
	_ = h.Write(&b)
	_, _ = b.WriteString(body)
	return b.String()
}

// send sends a body as somebody and checks what every answer must have.
func (w *world) send(t *testing.T, who identity, body []byte) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.address, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	return w.do(t, who, r)
}

// do sends a request as somebody.
func (w *world) do(t *testing.T, who identity, r *http.Request) answer {
	t.Helper()
	for _, h := range who.headers {
		r.Header.Add(h[0], h[1])
	}
	response, err := w.client.Do(r)
	if err != nil {
		t.Fatalf("as %s: %v", who.name, err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatalf("as %s: %v", who.name, err)
	}
	a := answer{status: response.StatusCode, header: response.Header, body: string(text)}
	if err := json.Unmarshal(text, &a); err != nil {
		t.Fatalf("as %s: %v in %q", who.name, err, text)
	}
	a.checkRequestID(t)
	w.answers = append(w.answers, exchange{what: "as " + who.name, body: headerText(response.Header) + a.body})
	return a
}

func headerText(h http.Header) string {
	var b strings.Builder
	_ = h.Write(&b)
	return b.String()
}

// checkRequestID: each error names the request, as the header does.
func (a answer) checkRequestID(t *testing.T) {
	t.Helper()
	want := a.header.Get("X-Request-Id")
	if want == "" {
		t.Errorf("no X-Request-Id beside %s", a.body)
	}
	for _, e := range a.Errors {
		if e.Extensions["requestId"] != want || e.Extensions["code"] == nil {
			t.Errorf("got extensions %v, want a code and the requestId %s", e.Extensions, want)
		}
	}
}

// post runs a document.
func (w *world) post(t *testing.T, who identity, document string, variables map[string]any) answer {
	t.Helper()
	body, err := json.Marshal(map[string]any{"query": document, "variables": variables})
	if err != nil {
		t.Fatal(err)
	}
	return w.send(t, who, body)
}

// must runs a document that has to work and reads its data into out.
func (w *world) must(t *testing.T, who identity, document string, variables map[string]any, out any) {
	t.Helper()
	a := w.post(t, who, document, variables)
	if len(a.Errors) > 0 {
		t.Fatalf("as %s: %s\n%s", who.name, document, a.body)
	}
	text, err := json.Marshal(a.Data)
	if err == nil && out != nil {
		err = json.Unmarshal(text, out)
	}
	if err != nil {
		t.Fatal(err)
	}
}
