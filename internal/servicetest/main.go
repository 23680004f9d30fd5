package servicetest

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// Main runs a package's tests and fails where one of them left a goroutine behind.
func Main(m *testing.M) {
	code := m.Run()
	closeSharedVault()
	if code == 0 {
		if err := goleak.Find(kept()...); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// kept are the goroutines of the one PostgreSQL server and the connection to it, which last as long as the process.
func kept() []goleak.Option {
	return []goleak.Option{
		goleak.IgnoreAnyFunction("github.com/tokenkeep/tokenkeep/internal/postgrestest.(*Cluster).run.func1"),
		goleak.IgnoreAnyFunction("github.com/tokenkeep/tokenkeep/internal/postgrestest.(*Cluster).listen"),
		goleak.IgnoreTopFunction("database/sql.(*DB).connectionOpener"),
		goleak.IgnoreTopFunction("database/sql.(*DB).connectionCleaner"),
	}
}
