package oauth

import (
	"cmp"
	"encoding/json"
	"net/http"
	"regexp"
	"strconv"
	"strings"
)

// refusal is what an error body says, in the few places where providers say it.
type refusal struct {
	// word is the `error` value (RFC 6749 5.2).
	word string
	// number is `code`, `errorCode` or `error_code`; zero where there is none.
	number int
	// reason is Zoom's free text. It may quote the code: compared with known texts, never shown.
	reason string
	// description is RFC 6749's free text (5.2): compared with known texts, never shown.
	description string
}

func (r refusal) isSet() bool { return r.word != "" || r.number != 0 || r.reason != "" }

// refuses reports whether the body is a refusal whatever its status: some providers send theirs with 200.
func (r refusal) refuses() bool {
	return r.word != "" || isZoomNumber(r.number) || r.reason == invalidToken
}

// decodeRefusal reads an error body: RFC 6749's, Zoom's {"reason","error"}, {"code","message"} and
// {"errorCode","errorMessage"}, an `error` that is an object with a code of its own, or a form. Anything else, HTML for
// one, yields the zero value.
func decodeRefusal(header http.Header, body []byte) refusal {
	fields := answerFields(header, body)
	r := refusal{word: text(fields["error"]), reason: text(fields["reason"])}
	for _, name := range []string{"code", "errorCode", "error_code"} {
		if n, err := strconv.Atoi(word(fields[name])); err == nil && r.number == 0 && n > 0 && n < 1e6 {
			r.number = n
		}
	}
	if r.reason == "" && isZoomNumber(r.number) {
		r.reason = cmp.Or(text(fields["message"]), text(fields["errorMessage"]))
	}
	var inner struct{ Status, Type string }
	if r.word == "" && json.Unmarshal(fields["error"], &inner) == nil {
		r.word = cmp.Or(inner.Status, inner.Type)
	}
	r.reason, r.description = normal(r.reason), normal(text(fields["error_description"]))
	return r
}

// normal makes texts comparable: lower case, single spaces, no full stop or exclamation mark at the end.
func normal(s string) string {
	return strings.TrimRight(strings.ToLower(strings.Join(strings.Fields(s), " ")), ".!")
}

var plainWord = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_.-]{0,47}$`)

// code returns what may be shown as the provider's code: its number, the number that Zoom documents for the text, or the
// error value if it is a short plain word.
func (r refusal) code() string {
	switch {
	case r.number != 0:
		return strconv.Itoa(r.number)
	case zoomNumber(r.reason) != 0:
		return strconv.Itoa(zoomNumber(r.reason))
	case plainWord.MatchString(r.word):
		return r.word
	}
	return ""
}
