package vaulttest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os/exec"
	"testing"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/internal/vault"
)

// loopConnections is over how many records WriteLoop goes round.
const loopConnections = 5

// loopRef is one of the records that WriteLoop writes.
func loopRef(tenant uuid.UUID, i int) vault.Ref {
	return vault.Ref{Tenant: tenant, Connection: uuid.NewSHA1(tenant, []byte{byte(i)})}
}

// WriteLoop writes one generation after the other over a few records of the tenant, and prints a line to out after
// each write that was acknowledged: the record's number and its generation. It ends with an error, or by being killed.
func WriteLoop(ctx context.Context, v vault.Vault, tenant uuid.UUID, out io.Writer) error {
	var numbers [loopConnections]vault.CAS
	var generations [loopConnections]int64
	for i := range numbers {
		if r, cas, err := v.ReadRecord(ctx, loopRef(tenant, i)); err == nil {
			numbers[i], generations[i] = cas, r.Generation
		}
	}
	for n := 0; ; n++ {
		i := n % loopConnections
		ref := loopRef(tenant, i)
		generations[i]++
		r, err := sealGeneration(ctx, v, ref, generations[i], plaintext(ref.Connection, generations[i]))
		if err != nil {
			return err
		}
		if numbers[i], err = v.WriteRecord(ctx, ref, r, numbers[i]); err != nil {
			return err
		}
		if _, err := fmt.Fprintf(out, "%d %d\n", i, generations[i]); err != nil {
			return err
		}
	}
}

// testKill kills a process in the midst of its writes, again and again: every write that it acknowledged is there.
func testKill(t *testing.T, in Instance) {
	if in.Child == nil {
		t.Skip("this vault does not run in a child process")
	}
	rng := random(t)
	tenant := in.tenant(t)
	var acknowledged [loopConnections]int64
	for range 5 {
		killAfter(t, in.Child(t, tenant), 1+rng.IntN(60), &acknowledged)
		in.Reopen(t)
		for i, want := range acknowledged {
			got, err := readTorn(t, in.Vault(), loopRef(tenant, i))
			// One write more may have landed without its acknowledgement.
			if err != nil || got < want || got > want+1 {
				t.Fatalf("record %d: got generation %d, %v, want %d", i, got, err, want)
			}
		}
	}
}

// killAfter kills the child when it has acknowledged n writes, and notes all that it has acknowledged by then.
func killAfter(t *testing.T, child *exec.Cmd, n int, acknowledged *[loopConnections]int64) {
	t.Helper()
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	lines := 0
	for scanner := bufio.NewScanner(out); scanner.Scan(); {
		var i int
		var generation int64
		if _, err := fmt.Sscanf(scanner.Text(), "%d %d", &i, &generation); err != nil {
			continue // the kill cut the line, or the test binary's own words
		}
		acknowledged[i] = generation
		if lines++; lines == n {
			_ = child.Process.Kill()
		}
	}
	_ = child.Wait()
	if lines < n {
		t.Fatalf("the child ended by itself after %d writes", lines)
	}
}
