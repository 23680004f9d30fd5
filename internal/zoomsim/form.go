package zoomsim

import (
	"errors"
	"html"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// htmlForm is what a submission of a form needs.
type htmlForm struct {
	action string
	method string
	fields url.Values
}

// attributes are those of one tag, names in lower case.
type attributes map[string]string

// firstForm finds the first form of an HTML page and the fields a browser would send for it: named inputs that are not
// disabled, checkboxes and radio buttons only when checked, buttons never. It reads start tags, not structure, and so
// tolerates what is not closed; textarea and select are beyond it.
func firstForm(page string) (htmlForm, error) {
	tag := regexp.MustCompile(`(?is)<(/?form|input)\b((?:[^>"']|"[^"]*"|'[^']*')*)>`)
	var form htmlForm
	for _, m := range tag.FindAllStringSubmatch(page, -1) {
		name, attrs := strings.ToLower(m[1]), parseAttributes(m[2])
		open := form.fields != nil
		switch {
		case name == "form" && !open:
			form = htmlForm{action: attrs["action"], method: attrs["method"], fields: url.Values{}}
		case name == "input" && open && attrs.sent():
			form.fields.Add(attrs["name"], attrs.value())
		case open && name != "input":
			return form, nil
		}
	}
	if form.fields == nil {
		return form, errors.New("the page has no form")
	}
	return form, nil
}

// sent reports whether a browser includes the input.
func (a attributes) sent() bool {
	kind := strings.ToLower(a["type"])
	switch {
	case a["name"] == "" || a.has("disabled"):
		return false
	case kind == "checkbox" || kind == "radio":
		return a.has("checked")
	default:
		return !slices.Contains([]string{"submit", "button", "reset", "image", "file"}, kind)
	}
}

// value is "on" for a checkbox without one, as HTML has it.
func (a attributes) value() string {
	value, given := a["value"]
	if kind := strings.ToLower(a["type"]); !given && (kind == "checkbox" || kind == "radio") {
		return "on"
	}
	return value
}

func parseAttributes(text string) attributes {
	attribute := regexp.MustCompile(`([^\s"'=<>/]+)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+)))?`)
	attrs := attributes{}
	for _, m := range attribute.FindAllStringSubmatch(text, -1) {
		if name := strings.ToLower(m[1]); !attrs.has(name) {
			attrs[name] = html.UnescapeString(m[2] + m[3] + m[4])
		}
	}
	return attrs
}

func (a attributes) has(name string) bool {
	_, ok := a[name]
	return ok
}
