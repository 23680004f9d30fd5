package main

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// piece is how many bytes of a secret, in whichever encoding, make a leak: less could be anything.
const piece = 16

// logFiles are what the processes said.
func (w *world) logFiles() []string {
	found, _ := filepath.Glob(w.file("*.log"))
	return found
}

// judgeLogs looks for secrets in all logs, and for what a process says only when it is broken.
func (w *world) judgeLogs() {
	needles := w.needles()
	for _, name := range w.logFiles() {
		text, err := os.ReadFile(name)
		if err != nil {
			w.broke("the harness: %v", err)
			continue
		}
		w.say("looking for %d pieces of %d secrets in %s (%d bytes)", len(needles), len(w.ledger.secrets), filepath.Base(name), len(text))
		for _, found := range leaks(text, needles) {
			w.broke("%s holds %s", name, found)
		}
		for _, word := range []string{"DATA RACE", "panic:", "panic in a detached step", "fatal error:", "goroutine stack exceeds"} {
			if at := bytes.Index(text, []byte(word)); at >= 0 {
				w.broke("%s says %q: %.600s", name, word, text[at:])
			}
		}
	}
}

// needles are a piece of each secret in each encoding, with what it is a piece of.
func (w *world) needles() map[string]string {
	out := map[string]string{}
	for value, what := range w.ledger.secrets {
		for how, text := range encodings(value) {
			if p := pieceOf(text); p != "" {
				out[p] = "the " + what + how
			}
		}
	}
	return out
}

// encodings are the ways in which a secret may turn up. Base64 depends on where the value begins in what was encoded.
func encodings(value string) map[string]string {
	out := map[string]string{
		"":                   value,
		" in hex":            hex.EncodeToString([]byte(value)),
		" in upper-case hex": strings.ToUpper(hex.EncodeToString([]byte(value))),
		" in a URL":          url.QueryEscape(value),
	}
	for offset := range 3 {
		padded := append(make([]byte, offset), value...)
		out[fmt.Sprintf(" in base64 (offset %d)", offset)] = trimmed(base64.StdEncoding.EncodeToString(padded))
		out[fmt.Sprintf(" in base64url (offset %d)", offset)] = trimmed(base64.URLEncoding.EncodeToString(padded))
	}
	return out
}

// trimmed drops the ends, which depend on what stands beside the value.
func trimmed(text string) string {
	if len(text) < piece+8 {
		return ""
	}
	return text[4 : len(text)-4]
}

// pieceOf is the end of a text: beginnings are the same in many secrets.
func pieceOf(text string) string {
	if len(text) < piece {
		return ""
	}
	return text[len(text)-piece:]
}

// leaks finds the pieces in a text.
func leaks(text []byte, needles map[string]string) (found []string) {
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, len(text)+1)
	for lines.Scan() {
		line := lines.Bytes()
		for i := 0; i+piece <= len(line); i++ {
			if what, ok := needles[string(line[i:i+piece])]; ok {
				found = append(found, fmt.Sprintf("%s in the line %.400s", what, line))
				break
			}
		}
	}
	return found
}
