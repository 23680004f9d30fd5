// Package realvault_test runs the whole service on a real HashiCorp Vault that is sealed, stopped, frozen or refuses us.
//
// Mechanism: the service runs in this process behind an HTTP listener, with a real database (both kinds) and the emulator,
// whose ledger says what was spent. Vault is a server of the test's own, with the policies of docs/vault.md, that the test
// takes away between a provider's answer and the write, and brings back.
//
// Reason: what a Vault that is away does to readers, refreshes and API keys is decided in several packages together.
//
// Limit: one node; what a cluster does while it elects a leader looks like a server that is sealed.
package realvault_test

import (
	"testing"

	"github.com/tokenkeep/tokenkeep/internal/servicetest"
)

func TestMain(m *testing.M) { servicetest.Main(m) }
