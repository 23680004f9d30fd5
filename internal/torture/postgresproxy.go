package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
)

// postgresProxy stands between one replica and PostgreSQL. It reads what the replica sends, message by message, to know
// where in the protocol of a spend it is; what comes back it copies.
type postgresProxy struct {
	listener net.Listener
	socket   string
	traps    *traps

	mu    sync.Mutex
	lines map[net.Conn]net.Conn
}

// Statements that mark a point, by a part of their text.
const (
	markStatement      = "SET spending_generation = $1"
	releaseStatement   = "DELETE FROM grant_locks WHERE grant_key = $1 AND owner = $2"
	keepDoubtStatement = "UPDATE grant_locks SET owner = NULL, spending_generation = NULL"
	attemptStatement   = `UPDATE "grant_attempts" SET`
)

// serve takes connections until the listener is closed.
func (p *postgresProxy) serve() {
	for {
		from, err := p.listener.Accept()
		if err != nil {
			return
		}
		go p.carry(from)
	}
}

// carry carries one connection.
func (p *postgresProxy) carry(from net.Conn) {
	to, err := net.Dial("unix", p.socket) //nolint:noctx // closed by cut
	if err != nil {
		_ = from.Close()
		return
	}
	p.mu.Lock()
	p.lines[from] = to
	p.mu.Unlock()
	done := make(chan struct{})
	back := &valve{to: from}
	go func() {
		_, _ = io.Copy(back, to)
		_ = errors.Join(from.Close(), to.Close())
		close(done)
	}()
	f := &frontend{proxy: p, from: from, to: to, back: back, statements: map[string]string{}}
	_ = f.run()
	_ = errors.Join(from.Close(), to.Close())
	<-done
	p.mu.Lock()
	delete(p.lines, from)
	p.mu.Unlock()
}

// cut ends all connections at once.
func (p *postgresProxy) cut() (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for from, to := range p.lines {
		_ = errors.Join(from.Close(), to.Close())
		n++
	}
	return n
}

// valve passes on what the server says, until it is shut.
type valve struct {
	mu   sync.Mutex
	shut bool
	to   io.Writer
}

func (v *valve) Write(b []byte) (int, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.shut {
		return len(b), nil
	}
	return v.to.Write(b)
}

func (v *valve) close() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.shut = true
}

// frontend reads what one connection of the replica sends.
type frontend struct {
	proxy      *postgresProxy
	from, to   net.Conn
	back       *valve
	statements map[string]string
	// settling is set between the statement that releases a lock and the commit that follows it.
	settling bool
}

// run copies messages to the server. The first one has no type (PostgreSQL's protocol, version 3.0, "Message Formats").
func (f *frontend) run() error {
	head := make([]byte, 4)
	if _, err := io.ReadFull(f.from, head); err != nil {
		return err
	}
	if err := f.pass(head, nil); err != nil {
		return err
	}
	head = make([]byte, 5)
	for {
		if _, err := io.ReadFull(f.from, head); err != nil {
			return err
		}
		if err := f.pass(head[1:], head[:1]); err != nil {
			return err
		}
	}
}

// maxMessage bounds one message, in bytes.
const maxMessage = 64 << 20

// errCrashed ends a connection whose replica was killed at a point.
var errCrashed = errors.New("the replica was killed here")

// pass reads the rest of a message and sends it on.
func (f *frontend) pass(length, kind []byte) error {
	n := binary.BigEndian.Uint32(length)
	if n < 4 || n > maxMessage {
		return errors.New("a message of an impossible length")
	}
	body := make([]byte, n-4)
	if _, err := io.ReadFull(f.from, body); err != nil {
		return err
	}
	if len(kind) == 1 {
		if err := f.look(kind[0], body); err != nil {
			return err
		}
	}
	message := append(append(bytes.Clone(kind), length...), body...)
	_, err := f.to.Write(message)
	return err
}

// look follows prepared statements by their names and stops at the points.
func (f *frontend) look(kind byte, body []byte) error {
	switch kind {
	case 'P': // Parse: name, text
		name, rest, _ := bytes.Cut(body, []byte{0})
		text, _, _ := bytes.Cut(rest, []byte{0})
		f.statements[string(name)] = string(text)
	case 'B': // Bind: portal, name of the statement
		_, rest, _ := bytes.Cut(body, []byte{0})
		name, _, _ := bytes.Cut(rest, []byte{0})
		return f.statement(f.statements[string(name)])
	case 'Q': // a simple query
		text, _, _ := bytes.Cut(body, []byte{0})
		return f.statement(string(text))
	}
	return nil
}

// statement stops at the points that a statement marks.
func (f *frontend) statement(text string) error {
	switch {
	case strings.Contains(text, markStatement):
		return f.hold(atMarked)
	case strings.Contains(text, attemptStatement) && strings.Contains(text, `"answer" =`):
		return f.hold(atParking)
	case strings.Contains(text, releaseStatement), strings.Contains(text, keepDoubtStatement):
		f.settling = true
		return f.hold(atSettling)
	case strings.EqualFold(text, "rollback"):
		f.settling = false
	case strings.EqualFold(text, "commit") && f.settling:
		f.settling = false
		return f.commit()
	}
	return nil
}

func (f *frontend) hold(at string) error {
	if t := f.proxy.traps.take(at, "the database"); t != nil && !t.forward {
		return errCrashed
	}
	return nil
}

// commit stops where a settlement is committed and its process does not know.
func (f *frontend) commit() error {
	t := f.proxy.traps.armed.Load()
	if t == nil || t.point != atSettled || t.taken.Load() {
		return nil
	}
	f.back.close()
	message := append([]byte{'Q', 0, 0, 0, 11}, "commit\x00"...)
	if _, err := f.to.Write(message); err != nil {
		return err
	}
	f.proxy.traps.take(atSettled, "the database")
	return errCrashed
}
