package embedded_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tokenkeep/tokenkeep/internal/vault/embedded"
)

func TestLoadRootKey(t *testing.T) {
	want := bytes.Repeat([]byte{0xfb, 0xff}, 16)
	for name, c := range map[string]struct {
		content string
		mode    os.FileMode
		says    string // empty: it loads
	}{
		"hex":           {hex.EncodeToString(want), 0o600, ""},
		"upper case":    {strings.ToUpper(hex.EncodeToString(want)), 0o400, ""},
		"white space":   {"  " + hex.EncodeToString(want) + " \r\n\n", 0o600, ""},
		"base64":        {base64.StdEncoding.EncodeToString(want) + "\n", 0o600, ""},
		"url alphabet":  {base64.RawURLEncoding.EncodeToString(want), 0o600, ""},
		"group reads":   {hex.EncodeToString(want), 0o640, "run chmod 600"},
		"world reads":   {hex.EncodeToString(want), 0o604, "run chmod 600"},
		"empty":         {"", 0o600, "64 hexadecimal digits"},
		"short":         {hex.EncodeToString(want[:31]), 0o600, "64 hexadecimal digits"},
		"long":          {hex.EncodeToString(append(want, 1)), 0o600, "64 hexadecimal digits"},
		"not hex":       {strings.Repeat("zz", 32), 0o600, "64 hexadecimal digits"},
		"raw bytes":     {string(want), 0o600, "64 hexadecimal digits"},
		"two keys":      {hex.EncodeToString(want) + "\n" + hex.EncodeToString(want), 0o600, "64 hexadecimal digits"},
		"all zero":      {strings.Repeat("00", 32), 0o600, "is no key"},
		"base64, short": {base64.StdEncoding.EncodeToString(want[:24]), 0o600, "64 hexadecimal digits"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "root.key")
			if err := os.WriteFile(path, []byte(c.content), c.mode); err != nil {
				t.Fatal(err)
			}
			got, err := embedded.LoadRootKey(path)
			if c.says == "" {
				if err != nil || !bytes.Equal(got.Reveal(), want) {
					t.Errorf("got %v", err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), path) {
				t.Errorf("got %v, want the path and %q", err, c.says)
			}
			if c.content != "" && err != nil && strings.Contains(err.Error(), strings.TrimSpace(c.content)) {
				t.Error("the error quotes the key")
			}
		})
	}
}

func TestCreateRootKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "root.key")
	if err := embedded.CreateRootKey(path); err != nil {
		t.Fatal(err)
	}
	first, err := embedded.LoadRootKey(path)
	if err != nil || first.Len() != 32 {
		t.Fatalf("got %d bytes, %v", first.Len(), err)
	}
	if err := embedded.CreateRootKey(path); err == nil {
		t.Error("it wrote over a key")
	}
	if again, err := embedded.LoadRootKey(path); err != nil || !again.Equal(first) {
		t.Errorf("the key is another one now: %v", err)
	}
	if err := embedded.CreateRootKey(filepath.Join(t.TempDir(), "no", "root.key")); err == nil {
		t.Error("it made a key in a folder that does not exist")
	}
}
