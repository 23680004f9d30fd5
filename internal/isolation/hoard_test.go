package isolation_test

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
)

// minSecret is how long a secret must be to be told from chance, in bytes.
const minSecret = 16

// hoard are the secrets that occurred, each with its kind.
type hoard struct {
	mu      sync.Mutex
	secrets map[string]string
}

// add keeps a secret.
func (h *hoard) add(t *testing.T, kind, value string) {
	t.Helper()
	if len(value) < minSecret {
		t.Fatalf("a %s of %d bytes would be found by chance", kind, len(value))
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.secrets == nil {
		h.secrets = map[string]string{}
	}
	h.secrets[value] = kind
}

// kinds counts the secrets by kind.
func (h *hoard) kinds() map[string]int {
	h.mu.Lock()
	defer h.mu.Unlock()
	counts := map[string]int{}
	for _, kind := range h.secrets {
		counts[kind]++
	}
	return counts
}

// needle is one form of a secret.
type needle struct {
	kind, form, secret string
	text               []byte
}

// needles are all forms of the secrets, but for some kinds.
func (h *hoard) needles(except ...string) []needle {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []needle
	for value, kind := range h.secrets {
		if !slices.Contains(except, kind) {
			all = append(all, formsOf(kind, []byte(value))...)
		}
	}
	return all
}

// formsOf are the forms in which a secret may get out: as it is, by halves, and as encoders and printers write it.
func formsOf(kind string, value []byte) []needle {
	var all []needle
	seen := map[string]bool{}
	add := func(form string, text []byte) {
		if len(text) >= minSecret && !seen[string(text)] {
			seen[string(text)] = true
			all = append(all, needle{kind, form, string(value), text})
		}
	}
	add("raw", value)
	add("first half", value[:len(value)/2])
	add("second half", value[len(value)/2:])
	add("hex", []byte(hex.EncodeToString(value)))
	add("HEX", []byte(strings.ToUpper(hex.EncodeToString(value))))
	add("bytes in decimal", bytes.Trim(fmt.Append(nil, value), "[]"))
	add("URL-escaped", []byte(url.QueryEscape(string(value))))
	add("path-escaped", []byte(url.PathEscape(string(value))))
	if quoted, err := json.Marshal(string(value)); err == nil && !bytes.Contains(quoted, []byte("\ufffd")) && !bytes.Contains(quoted, []byte(`\ufffd`)) {
		add("JSON-escaped", bytes.Trim(quoted, `"`))
	}
	for shift := range 3 {
		add("base64", shifted(base64.RawStdEncoding, value, shift))
		add("base64 for URLs", shifted(base64.RawURLEncoding, value, shift))
	}
	return all
}

// shifted is the part of the value's base64 that does not depend on what stands around it, where shift bytes stand ahead
// of it in its group of three.
func shifted(e *base64.Encoding, value []byte, shift int) []byte {
	text := []byte(e.EncodeToString(append(make([]byte, shift), value...)))
	begin := (shift*8 + 5) / 6
	end := (shift + len(value)) * 8 / 6
	return text[begin:end]
}

// finding is a secret where none belongs.
type finding struct {
	needle
	around string
}

// String names a finding without the secret.
func (f finding) String() string {
	return fmt.Sprintf("%s (%s) in ...%s...", f.kind, f.form, f.around)
}

// search returns which of the secrets are in a text, each where it comes first, in one pass.
func search(needles []needle, text []byte) []finding {
	starts, byStart := startsOf(needles)
	var all []finding
	found := map[string]bool{}
	for at := 0; at+startLength <= len(text); at++ {
		if !starts[binary.LittleEndian.Uint16(text[at:])] {
			continue
		}
		for _, n := range byStart[binary.LittleEndian.Uint64(text[at:])] {
			if found[n.secret] || !bytes.HasPrefix(text[at:], n.text) {
				continue
			}
			found[n.secret] = true
			from, to := max(0, at-120), min(len(text), at+len(n.text)+60)
			around := strings.NewReplacer(n.secret, "[it]", string(n.text), "[it]").Replace(string(text[from:to]))
			all = append(all, finding{n, strings.ToValidUTF8(around, "?")})
		}
	}
	return all
}

// startLength is how many bytes of a needle are looked up at once; no needle is shorter.
const startLength = 8

// startsOf sorts needles by their first bytes, so that thousands of them are looked for in one pass; starts tells quickly
// where none begins.
func startsOf(needles []needle) (starts []bool, byStart map[uint64][]needle) {
	starts, byStart = make([]bool, 1<<16), make(map[uint64][]needle, len(needles))
	for _, n := range needles {
		start := binary.LittleEndian.Uint64(n.text)
		starts[uint16(start)] = true //nolint:gosec // its two lowest bytes are meant
		byStart[start] = append(byStart[start], n)
	}
	return starts, byStart
}

// TestSearchFinds proves that what is to be found nowhere would be found.
func TestSearchFinds(t *testing.T) {
	var h hoard
	secret := "zsim/at_+\"quoted\"&<0123456789abcdef>-planted"
	h.add(t, "planted", secret)
	around := []string{"", "x", "xy", "xyz"}
	for _, before := range around {
		for _, after := range around {
			whole := before + secret + after
			quoted, _ := json.Marshal(whole)
			for form, text := range map[string]string{
				"raw": whole, "hex": hex.EncodeToString([]byte(whole)), "base64": base64.StdEncoding.EncodeToString([]byte(whole)),
				"base64 for URLs": base64.RawURLEncoding.EncodeToString([]byte(whole)), "bytes": fmt.Sprint([]byte(whole)), "JSON": string(quoted),
				"URL": "https://example.com/?q=" + url.QueryEscape(whole), "cut": whole[:len(before)+len(secret)-3],
			} {
				if len(search(h.needles(), []byte(text))) == 0 {
					t.Errorf("%s between %q and %q was not found", form, before, after)
				}
			}
		}
	}
	if got := search(h.needles(), []byte("nothing of the kind: "+strings.Repeat("abcdef0123456789", 100))); len(got) > 0 {
		t.Errorf("found %v where there is nothing", got)
	}
}
