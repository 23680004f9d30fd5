package zoomsim

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"time"
)

// state is everything the emulator remembers. Its methods expect Server.mu to be held and are told the time, so that
// each of them is one atomic step.
type state struct {
	switches Switches
	clients  map[string]Client
	users    map[string]*User  // by id
	byEmail  map[string]string // id of the user with this address
	codes    map[digest]*code  // spent ones stay, to recognize a second use
	grants   []*grant          // in the order of issue, ended ones included
	access   map[digest]*accessToken
	refresh  map[digest]*refreshToken // every one ever issued, to tell whose it was
	faults   []*activeFault
	faultSeq int
	totals   Totals
}

func newState() *state {
	return &state{
		clients: make(map[string]Client),
		users:   make(map[string]*User),
		byEmail: make(map[string]string),
		codes:   make(map[digest]*code),
		access:  make(map[digest]*accessToken),
		refresh: make(map[digest]*refreshToken),
	}
}

// The beginnings by which a leaked value is recognized.
const (
	accessPrefix  = "zsim_at_"
	refreshPrefix = "zsim_rt_"
	codePrefix    = "zsim_ac_"
)

// randomText returns prefix and 256 random bits, URL-safe.
func randomText(prefix string) string {
	var b [32]byte
	rand.Read(b[:]) // never fails: the runtime ends the program instead
	return prefix + base64.RawURLEncoding.EncodeToString(b[:])
}

// stableID returns 22 URL-safe base64 characters, the shape of Zoom's ids, that depend on kind and key alone.
func stableID(kind, key string) string {
	sum := sha256.Sum256([]byte("zoomsim " + kind + " " + key))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// digest is the hex SHA-256 of a token or code: 256 random bits need no more to be safe in a file.
type digest string

func digestOf(s string) digest {
	sum := sha256.Sum256([]byte(s))
	return digest(hex.EncodeToString(sum[:]))
}

// reached reports whether now is at or past the deadline.
func reached(deadline, now time.Time) bool { return !now.Before(deadline) }
