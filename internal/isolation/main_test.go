// Package isolation_test tries to cross the lines between tenants and to find secrets where none belong.
//
// Mechanism: the whole service runs in this process behind a real HTTP listener, with a real database (both kinds), the
// embedded vault and the emulator. The operations come from the served schema: a field or an argument that rules_test.go
// does not know fails the tests, so that nothing new is served untried. Each operation is tried as everybody who must
// not, with another tenant's values, and compared with what the same caller gets for values that nobody has.
//
// Reason: isolation is a property of everything together. Each part has tests of its own; these look from outside, where
// an attacker stands.
//
// Limit: times are not compared, only answers, statements and calls of the vault.
package isolation_test

import (
	"testing"

	"github.com/tokenkeep/tokenkeep/internal/servicetest"
)

func TestMain(m *testing.M) { servicetest.Main(m) }
