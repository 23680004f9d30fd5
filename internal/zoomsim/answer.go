package zoomsim

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
)

// answer is a complete reply, made before any of it is delivered, so that a fault can change or withhold it.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func newAnswer(status int, contentType string, body []byte) answer {
	return answer{status: status, header: http.Header{"Content-Type": {contentType}}, body: body}
}

func jsonAnswer(status int, v any) answer {
	var body bytes.Buffer
	enc := json.NewEncoder(&body)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic(fmt.Sprintf("zoomsim: encoding an answer: %v", err)) // only our own types come here
	}
	return newAnswer(status, "application/json;charset=UTF-8", bytes.TrimRight(body.Bytes(), "\n"))
}

func redirectAnswer(location string) answer {
	return answer{status: http.StatusFound, header: http.Header{"Location": {location}}}
}

// refused is the error shape of the token and revoke endpoints: no error_description and no number.
func refused(oauthError, reason string) answer {
	return jsonAnswer(http.StatusBadRequest, struct {
		Reason string `json:"reason"`
		Error  string `json:"error"`
	}{reason, oauthError})
}

// The refusals of the token and revoke endpoints. Texts marked "inferred" were never captured; the others are from
// captures or Zoom's error page.
func missingCredentials() answer {
	return refused("invalid_client", "Client ID or client secret is missing.")
}
func wrongCredentials() answer {
	return refused("invalid_client", "Invalid client_id or client_secret")
}
func missingGrantType() answer { return refused("invalid_request", "Missing grant type.") }
func unsupportedGrant() answer { return refused("unsupported_grant_type", "unsupported grant type") }
func invalidToken() answer     { return refused("invalid_grant", "Invalid Token!") }
func missingToken() answer     { return refused("invalid_request", "Token cannot be empty.") }
func redirectMismatch() answer { return refused("invalid_request", "Redirect URI mismatch.") }
func missingCode() answer      { return refused("invalid_request", "Missing authorization code.") } // inferred
func verifierMismatch() answer { return refused("invalid_grant", "Invalid code verifier.") }        // inferred

// invalidCode repeats the code in its reason, as Zoom does.
func invalidCode(code string) answer {
	return refused("invalid_grant", "Invalid authorization code "+code)
}

// pageRefusal is what the authorize page shows the user in place of a redirect.
func pageRefusal(code int, message string) answer {
	return jsonAnswer(http.StatusBadRequest, struct {
		Status  bool   `json:"status"`
		Code    int    `json:"errorCode"`
		Message string `json:"errorMessage"`
		Result  any    `json:"result"`
	}{Code: code, Message: message})
}

// restRefusal is the error shape of the REST API; code is Zoom's number, often not the HTTP status.
func restRefusal(status, code int, message string) answer {
	return jsonAnswer(status, struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	}{code, message})
}

// writeTo sends the answer with headers that every answer of Zoom's carries. With half set it promises the whole body,
// sends the first half and closes the connection.
func (a answer) writeTo(w http.ResponseWriter, half bool) {
	h := w.Header()
	for name, values := range a.header {
		h[name] = values
	}
	h.Set("X-Zm-Trackingid", trackingID())
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Length", strconv.Itoa(len(a.body)))
	w.WriteHeader(a.status)
	if !half {
		_, _ = w.Write(a.body) // a caller that left is no concern of Zoom's
		return
	}
	_, _ = w.Write(a.body[:len(a.body)/2])
	_ = http.NewResponseController(w).Flush() // where it cannot flush, closing loses this half too
	panic(http.ErrAbortHandler)
}

func trackingID() string {
	var b [16]byte
	rand.Read(b[:])
	return "v=2.0;clid=zsim;rid=WEB_" + hex.EncodeToString(b[:])
}
