package oauth

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/tokenkeep/tokenkeep/internal/provider"
	"github.com/tokenkeep/tokenkeep/internal/secret"
)

// ErrUnreadable is returned for a token answer that holds no access token.
var ErrUnreadable = errors.New("the answer holds no access token")

// maxLife caps what an answer may claim as a token's life.
const maxLife = 100 * 365 * 24 * time.Hour

// DecodeAnswer reads a successful token answer (RFC 6749 5.1). Only the access token is insisted on; any other field in
// an unexpected form counts as absent, because refusing the answer would lose the grant that came with it. JSON is usual;
// a form is read too, for some older providers answer so. Of JSON that is damaged behind both tokens the whole members
// are taken.
func DecodeAnswer(p provider.Provider, header http.Header, body []byte) (TokenSet, error) {
	fields := answerFields(header, body)
	if fields == nil {
		fields = salvage(withoutBOM(body))
	}
	return decodeFields(p, fields)
}

// decodeFields makes a set of an answer's members.
func decodeFields(p provider.Provider, fields map[string]json.RawMessage) (TokenSet, error) {
	set := TokenSet{
		AccessToken:  secret.New(text(fields["access_token"])),
		RefreshToken: secret.New(text(fields["refresh_token"])),
		TokenType:    text(fields["token_type"]),
		ExpiresIn:    seconds(fields["expires_in"]),
		Scopes:       scopes(fields["scope"]),
		APIURL:       p.AllowedAPIURL(text(fields["api_url"])),
	}
	if set.AccessToken.IsZero() {
		return TokenSet{}, ErrUnreadable
	}
	set.HasScopes = len(set.Scopes) > 0
	if set.TokenType == "" {
		set.TokenType = "bearer"
	}
	for _, known := range []string{"access_token", "refresh_token", "token_type", "expires_in", "scope", "api_url"} {
		delete(fields, known)
	}
	if len(fields) > 0 {
		set.Extra = fields
	}
	return set, nil
}

// answerFields returns the members of a JSON object or of a form; nil where the body is neither.
func answerFields(header http.Header, body []byte) map[string]json.RawMessage {
	var fields map[string]json.RawMessage
	body = withoutBOM(body)
	if bytes.HasPrefix(bytes.TrimLeft(body, " \t\r\n"), []byte("{")) {
		if json.Unmarshal(body, &fields) != nil {
			return nil
		}
		return fields
	}
	kind, _, _ := mime.ParseMediaType(header.Get("Content-Type"))
	if kind != "application/x-www-form-urlencoded" && kind != "text/plain" {
		return nil
	}
	form, err := url.ParseQuery(strings.TrimSpace(string(body)))
	if err != nil {
		return nil
	}
	fields = map[string]json.RawMessage{}
	for name, values := range form {
		fields[name], _ = json.Marshal(values[0])
	}
	return fields
}

// withoutBOM takes off the byte order mark that some servers put before JSON (RFC 8259 8.1 lets a reader ignore it).
func withoutBOM(body []byte) []byte { return bytes.TrimPrefix(body, []byte("\xef\xbb\xbf")) }

// text returns a JSON string's value, "" for anything else.
func text(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return ""
	}
	return s
}

// word returns the value of a JSON string or number as text, "" for anything else.
func word(raw json.RawMessage) string {
	var n json.Number
	if s := text(raw); s != "" {
		return s
	}
	if json.Unmarshal(raw, &n) != nil {
		return ""
	}
	return n.String()
}

// seconds reads a life given as a number or as a string of digits. What is not positive counts as not said.
func seconds(raw json.RawMessage) time.Duration {
	n, err := strconv.ParseFloat(strings.TrimSpace(word(raw)), 64)
	if err != nil || math.IsNaN(n) || n <= 0 {
		return 0
	}
	if n >= maxLife.Seconds() {
		return maxLife
	}
	return time.Duration(n * float64(time.Second))
}

// scopes reads a list given as a string, separated by spaces or commas, or as an array of strings.
func scopes(raw json.RawMessage) []string {
	var list []string
	if json.Unmarshal(raw, &list) != nil {
		list = []string{text(raw)}
	}
	var out []string
	for _, s := range list {
		out = append(out, strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune(" ,\t\r\n", r) })...)
	}
	return out
}
