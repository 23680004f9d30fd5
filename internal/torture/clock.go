package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Nothing outside of a Go program can change its clock: it reads the time without asking the kernel. So for -skew the
// program is built from the same sources against a standard library in which time.Now adds what an environment variable
// says, by the overlay that "go build" has for such purposes. Monotonic time, which deadlines and locks are counted by, is
// left alone: it is durations that machines agree on.

// skewVariable holds how many seconds a process's clock is ahead.
const skewVariable = "TOKENKEEP_TORTURE_SKEW"

// skewSource is a file that package time gets.
const skewSource = `package time

import "syscall"

// tortureSkew is how many seconds the wall clock is ahead.
var tortureSkew = readTortureSkew()

func readTortureSkew() (n int64) {
	text, _ := syscall.Getenv("` + skewVariable + `")
	negative := len(text) > 0 && text[0] == '-'
	for _, c := range []byte(text) {
		if c >= '0' && c <= '9' {
			n = 10*n + int64(c-'0')
		}
	}
	if negative {
		return -n
	}
	return n
}
`

// clockOverlay is what a build with a clock that can be wrong needs beside the others; nothing where clocks are left alone.
func (w *world) clockOverlay(ctx context.Context) ([]string, error) {
	if w.skew == 0 {
		return nil, nil
	}
	root, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return nil, fmt.Errorf("asking for GOROOT: %w", err)
	}
	folder := filepath.Join(strings.TrimSpace(string(root)), "src", "time")
	source, err := os.ReadFile(filepath.Join(folder, "time.go"))
	if err != nil {
		return nil, err
	}
	const reading = "sec, nsec, mono := runtimeNow()\n"
	if strings.Count(string(source), reading) != 1 {
		return nil, errors.New("this Go's time.Now is not what -skew knows how to change")
	}
	changed := strings.Replace(string(source), reading, reading+"\tsec += tortureSkew\n", 1)
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{
		filepath.Join(folder, "time.go"): w.file("time.go"), filepath.Join(folder, "torture_skew.go"): w.file("torture_skew.go"),
	}})
	if err != nil {
		return nil, err
	}
	return []string{"-overlay", w.file("overlay.json")}, errors.Join(
		os.WriteFile(w.file("time.go"), []byte(changed), 0o600),
		os.WriteFile(w.file("torture_skew.go"), []byte(skewSource), 0o600),
		os.WriteFile(w.file("overlay.json"), overlay, 0o600))
}

// clock is what a process's environment says of its clock: another deviation at each start, from the seed.
func (w *world) clock(r *replica) []string {
	if w.skew == 0 {
		return nil
	}
	dice := rand.New(rand.NewPCG(w.seed, uint64(1000*(r.n+1)+r.starts))) // #nosec G404 -- deviations that can be repeated
	ahead := time.Duration(dice.Int64N(2*int64(w.skew)+1)) - w.skew
	w.say("the clock of replica %d is %s ahead", r.n, ahead.Truncate(time.Second))
	return []string{fmt.Sprintf("%s=%d", skewVariable, int64(ahead/time.Second))}
}
