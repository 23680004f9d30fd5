package tenancy_test

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/tokenkeep/tokenkeep/internal/secret"
	"github.com/tokenkeep/tokenkeep/internal/tenancy"
)

func TestCreateOperatorKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "operator")
	key, err := tenancy.CreateOperatorKey(path)
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`^tko_[0-9A-Za-z]{49}$`).MatchString(key.Reveal()) {
		t.Errorf("the key has an unexpected form")
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if read, err := tenancy.ReadOperatorKey(path); err != nil || !read.Equal(key) {
		t.Errorf("reading back: %v", err)
	}
	loaded, err := tenancy.LoadOperatorKey(path)
	if err != nil || !loaded.Matches(key) {
		t.Errorf("the loaded key does not match: %v", err)
	}
	if _, err := tenancy.CreateOperatorKey(path); !errors.Is(err, os.ErrExist) {
		t.Errorf("replacing a key: got %v, want os.ErrExist", err)
	}
}

func TestOperatorKeyMatches(t *testing.T) {
	dir := t.TempDir()
	mine, err := tenancy.CreateOperatorKey(filepath.Join(dir, "a"))
	if err != nil {
		t.Fatal(err)
	}
	other, err := tenancy.CreateOperatorKey(filepath.Join(dir, "b"))
	if err != nil {
		t.Fatal(err)
	}
	key, err := tenancy.NewOperatorKey(mine)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		key  tenancy.OperatorKey
		text secret.Text
		want bool
	}{
		{"mine", key, mine, true},
		{"another", key, other, false},
		{"none", key, secret.Text{}, false},
		{"nobody's", tenancy.OperatorKey{}, mine, false},
		{"nothing at all", tenancy.OperatorKey{}, secret.Text{}, false},
	} {
		if got := test.key.Matches(test.text); got != test.want {
			t.Errorf("%s: got %v, want %v", test.name, got, test.want)
		}
	}
}

func TestReadOperatorKeyRefuses(t *testing.T) {
	dir := t.TempDir()
	good, err := tenancy.CreateOperatorKey(filepath.Join(dir, "good"))
	if err != nil {
		t.Fatal(err)
	}
	text := good.Reveal()
	last := string(text[len(text)-1] ^ 1)
	for name, content := range map[string]string{
		"empty": "", "short": text[:len(text)-1], "two": text + "\n" + text, "typo": text[:len(text)-1] + last,
		"tenant": "tk_" + text[4:], "huge": strings.Repeat("x", 1<<20),
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := tenancy.LoadOperatorKey(path)
		if !errors.Is(err, tenancy.ErrOperatorKey) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "`tokenkeep operatorkey create`") {
			t.Errorf("%s: got %v", name, err)
		}
		if err != nil && len(content) > 20 && strings.Contains(err.Error(), content[:20]) {
			t.Errorf("%s: the error tells the key", name)
		}
	}
	if _, err := tenancy.LoadOperatorKey(filepath.Join(dir, "missing")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing: got %v", err)
	}
}
