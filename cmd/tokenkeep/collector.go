package main

import "runtime/debug"

// The garbage collector's setting, in percent of what lives: Go's own, and ours. A process here has little that lives
// (the tokens in memory are bounded, 64 MiB unless configured) and makes much garbage, some 30 kB for each request, so
// that Go's setting has it collect several times a second. Twice as rarely costs memory, at most as much again as lives.
const (
	usualGarbage = 100
	ourGarbage   = 200
)

// collectLess sets it, unless whoever runs the process has set GOGC.
func collectLess() {
	if set := debug.SetGCPercent(ourGarbage); set != usualGarbage {
		debug.SetGCPercent(set)
	}
}
