package embedded_test

import (
	"bytes"
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/uuid"
	"github.com/mattn/go-sqlite3"

	"github.com/tokenkeep/tokenkeep/internal/secret"
	"github.com/tokenkeep/tokenkeep/internal/vault"
	"github.com/tokenkeep/tokenkeep/internal/vault/embedded"
	"github.com/tokenkeep/tokenkeep/internal/vault/vaulttest"
)

func TestConformance(t *testing.T) { vaulttest.Run(t, open) }

// testRoot is the root key of the vaults under test.
func testRoot() secret.Bytes {
	key := make([]byte, 32)
	for i := range key {
		key[i] = byte(i)
	}
	return secret.NewBytes(key)
}

// bench is an embedded vault under test.
type bench struct {
	options embedded.Options
	vault   *embedded.Vault
}

// newBench opens a fresh vault that is closed when the test ends.
func newBench(t testing.TB, folder string) *bench {
	t.Helper()
	b := &bench{options: embedded.Options{Path: filepath.Join(folder, "vault.db"), RootKey: testRoot()}}
	b.open(t)
	t.Cleanup(func() { b.vault.Close() })
	return b
}

func (b *bench) open(t testing.TB) {
	t.Helper()
	v, err := embedded.Open(t.Context(), b.options)
	if err != nil {
		t.Fatal(err)
	}
	b.vault = v
}

func (b *bench) reopen(t *testing.T) {
	t.Helper()
	if err := b.vault.Close(); err != nil {
		t.Fatal(err)
	}
	b.open(t)
}

func open(t *testing.T) vaulttest.Instance {
	b := newBench(t, t.TempDir())
	return vaulttest.Instance{
		Vault:     func() vault.Vault { return b.vault },
		Reopen:    b.reopen,
		Tamper:    b.tamper,
		Copy:      b.copyRow,
		Save:      b.saveRow,
		Fill:      b.fill,
		Snapshot:  b.snapshot,
		OpenFiles: openFiles,
		Child:     b.child,
	}
}

// connector opens the file beside the vault.
type connector string

func (c connector) Connect(context.Context) (driver.Conn, error) { return c.Driver().Open(string(c)) }
func (c connector) Driver() driver.Driver                        { return &sqlite3.SQLiteDriver{} }

// beneath runs fn on the file itself.
func (b *bench) beneath(t *testing.T, fn func(*sql.DB)) {
	t.Helper()
	db := sql.OpenDB(connector("file:" + b.options.Path + "?_busy_timeout=5000&_txlock=immediate"))
	defer db.Close()
	fn(db)
}

func (b *bench) exec(t *testing.T, query string, args ...any) {
	t.Helper()
	b.beneath(t, func(db *sql.DB) {
		result, err := db.Exec(query, args...)
		if err != nil {
			t.Fatal(err)
		}
		if n, _ := result.RowsAffected(); n != 1 {
			t.Fatalf("%d rows affected", n)
		}
	})
}

func (b *bench) tamper(t *testing.T, ref vault.Ref, change func(vault.Record) vault.Record) {
	t.Helper()
	r, _, err := b.vault.ReadRecord(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := change(r).MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	b.exec(t, `UPDATE records SET record = ? WHERE tenant = ? AND connection = ?`, encoded, ref.Tenant[:], ref.Connection[:])
}

func (b *bench) copyRow(t *testing.T, from, to vault.Ref) {
	t.Helper()
	b.exec(t, `INSERT INTO records (tenant, connection, mac, cas, record)
		SELECT ?, ?, mac, cas, record FROM records WHERE tenant = ? AND connection = ?`,
		to.Tenant[:], to.Connection[:], from.Tenant[:], from.Connection[:])
}

func (b *bench) saveRow(t *testing.T, ref vault.Ref) func() {
	t.Helper()
	var mac, record []byte
	var cas int64
	b.beneath(t, func(db *sql.DB) {
		row := db.QueryRow(`SELECT mac, cas, record FROM records WHERE tenant = ? AND connection = ?`, ref.Tenant[:], ref.Connection[:])
		if err := row.Scan(&mac, &cas, &record); err != nil {
			t.Fatal(err)
		}
	})
	return func() {
		t.Helper()
		b.exec(t, `UPDATE records SET mac = ?, cas = ?, record = ? WHERE tenant = ? AND connection = ?`,
			mac, cas, record, ref.Tenant[:], ref.Connection[:])
	}
}

// fill bounds the file at its present size and a little more.
func (b *bench) fill(t *testing.T) func() {
	t.Helper()
	b.reopen(t)
	info, err := os.Stat(b.options.Path)
	if err != nil {
		t.Fatal(err)
	}
	b.options.MaxBytes = info.Size() + 32<<10
	b.reopen(t)
	return func() {
		b.options.MaxBytes = 0
		b.reopen(t)
	}
}

// snapshot reads the files while nobody writes.
func (b *bench) snapshot(t *testing.T) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	for _, suffix := range []string{"", "-wal", "-mark"} {
		data, err := os.ReadFile(b.options.Path + suffix)
		if err != nil {
			t.Fatal(err)
		}
		files["vault.db"+suffix] = data
	}
	return files
}

func openFiles(t *testing.T, files map[string][]byte) (vault.Vault, error) {
	t.Helper()
	folder := t.TempDir()
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(folder, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	v, err := embedded.Open(t.Context(), embedded.Options{Path: filepath.Join(folder, "vault.db"), RootKey: testRoot()})
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { v.Close() })
	return v, nil
}

// The environment of a child process.
const (
	childPath   = "EMBEDDED_TEST_CHILD_PATH"
	childTenant = "EMBEDDED_TEST_CHILD_TENANT"
)

func (b *bench) child(t *testing.T, tenant uuid.UUID) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestChild$")
	cmd.Env = append(os.Environ(), childPath+"="+b.options.Path, childTenant+"="+tenant.String())
	cmd.Stderr = os.Stderr
	return cmd
}

// TestChild is not a test of its own: it is what a child process runs until it is killed.
func TestChild(t *testing.T) {
	path := os.Getenv(childPath)
	if path == "" {
		t.Skip("runs in a child process only")
	}
	v, err := embedded.Open(t.Context(), embedded.Options{Path: path, RootKey: testRoot()})
	if err != nil {
		t.Fatal(err)
	}
	t.Fatal(vaulttest.WriteLoop(t.Context(), v, uuid.MustParse(os.Getenv(childTenant)), os.Stdout))
}

// TestNothingReadable looks for what is sealed in the files, log included.
func TestNothingReadable(t *testing.T) {
	b := newBench(t, t.TempDir())
	ref := vault.Ref{Tenant: uuid.New(), Connection: uuid.New()}
	if err := b.vault.CreateKey(t.Context(), ref.Tenant); err != nil {
		t.Fatal(err)
	}
	dk, err := b.vault.NewDataKey(t.Context(), ref.Tenant)
	if err != nil {
		t.Fatal(err)
	}
	const token = "a refresh token in the clear"
	r, err := vault.SealRecord(dk, ref, vault.Header{Generation: 1, Attempt: uuid.New(), Origin: "exchange"}, secret.NewBytes([]byte(token)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.vault.WriteRecord(t.Context(), ref, r, 0); err != nil {
		t.Fatal(err)
	}
	for name, data := range b.snapshot(t) {
		for _, plain := range [][]byte{[]byte(token), dk.Plain.Reveal(), testRoot().Reveal()} {
			if bytes.Contains(data, plain) || bytes.Contains(data, []byte(hex.EncodeToString(plain))) {
				t.Errorf("%s contains a secret", name)
			}
		}
		if info, err := os.Stat(filepath.Join(filepath.Dir(b.options.Path), name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v, %v, want 0600", name, info.Mode().Perm(), err)
		}
	}
}
