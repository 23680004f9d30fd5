package secret_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/tokenkeep/tokenkeep/internal/secret"
)

const plain = "hunter2-hunter2"

func TestSecretsDoNotPrint(t *testing.T) {
	type holder struct {
		T secret.Text
		B secret.Bytes
		P *secret.Text
	}
	text := secret.New(plain)
	h := holder{T: text, B: secret.NewBytes([]byte(plain)), P: &text}

	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
		fmt.Fprintf(&out, verb, h)
		fmt.Fprintf(&out, verb, &h)
		fmt.Fprintf(&out, verb, h.T)
		fmt.Fprintf(&out, verb, h.B)
	}
	encoded, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	out.Write(encoded)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "h", h, "t", h.T, "b", h.B)
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "h", h, "t", h.T, "b", h.B)

	for _, form := range []string{plain, fmt.Sprintf("%x", plain), fmt.Sprintf("%X", plain), fmt.Sprint([]byte(plain))} {
		if strings.Contains(out.String(), form) {
			t.Errorf("a secret was printed as %q:\n%s", form, out.String())
		}
	}
	if got, want := text.Reveal(), plain; got != want {
		t.Errorf("Reveal: got %q, want %q", got, want)
	}
}

func TestEqual(t *testing.T) {
	if !secret.New("a").Equal(secret.New("a")) || secret.New("a").Equal(secret.New("b")) || secret.New("a").Equal(secret.New("ab")) {
		t.Error("Text.Equal is wrong")
	}
	if !secret.NewBytes([]byte("a")).Equal(secret.NewBytes([]byte("a"))) || secret.NewBytes(nil).Equal(secret.NewBytes([]byte("a"))) {
		t.Error("Bytes.Equal is wrong")
	}
}
