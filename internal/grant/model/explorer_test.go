package model_test

import (
	"fmt"
	"strings"
)

// scenario is who acts, at which provider, and how much may go wrong.
type scenario struct {
	name string
	// who acts; all work on the first connection.
	who  []kind
	left budget
	// change alters the state it begins with.
	change    func(s *state)
	contested bool
}

// node is a state that was seen, and how it was come by.
type node struct {
	parent int32
	actor  int8
	what   string
}

// explorer goes through all that may happen.
type explorer struct {
	*world
	seen   map[state]int32
	nodes  []node
	states []state
	// ends counts the states where nobody can go on, each of which was recovered from.
	ends int
}

// counterexample is a way to a state that must not be.
type counterexample struct {
	what  error
	trace []string
}

func (c *counterexample) Error() string {
	return fmt.Sprintf("%v\n    %s", c.what, strings.Join(c.trace, "\n    "))
}

// explore returns nil where all that may happen is right.
func (w *world) explore(sc scenario) (*explorer, *counterexample) {
	x := &explorer{world: w, seen: map[state]int32{}}
	return x, x.run(sc)
}

func (x *explorer) run(sc scenario) *counterexample {
	s := start(sc.left)
	for i, k := range sc.who {
		s.actors[i].kind = k
	}
	if sc.change != nil {
		sc.change(&s)
	}
	x.contested = sc.contested
	x.add(s, node{parent: -1})
	for i := int32(0); int(i) < len(x.states); i++ {
		s := x.states[i]
		if err := x.always(&s); err != nil {
			return &counterexample{err, x.trace(i)}
		}
		moved := x.follow(s, func(actor int8, what string, next state) { x.add(next, node{i, actor, what}) })
		if moved {
			continue
		}
		x.ends++
		if _, after, err := x.recover(s, false); err != nil {
			return &counterexample{err, append(x.trace(i), after...)}
		}
	}
	return nil
}

func (x *explorer) add(s state, n node) {
	if _, known := x.seen[s]; known {
		return
	}
	x.seen[s] = int32(len(x.states))
	x.states, x.nodes = append(x.states, s), append(x.nodes, n)
}

// follow tells of every state that may come next; false where nothing that an actor does can.
func (x *explorer) follow(s state, tell func(actor int8, what string, next state)) bool {
	moved := false
	for i := range s.actors {
		a := s.actors[i]
		if a.kind == nobody || !a.alive() {
			continue
		}
		x.step(s, i, func(what string, next state) {
			moved = true
			tell(int8(i), what, next)
		})
		if s.left.crashes > 0 && a.at != atStart {
			next := s
			next.left.crashes--
			x.crash(&next, i)
			tell(int8(i), "CRASHES", next)
		}
	}
	x.surroundings(s, tell)
	return moved
}

// step is what one actor does next.
func (w *world) step(s state, i int, emit emit) {
	m := &machine{world: w, s: s, me: i, emit: emit}
	switch s.actors[i].kind {
	case refresher:
		m.refresh()
	case authorization:
		m.authorize()
	case resumer:
		m.resume()
	case deletion:
		m.delete()
	case rewrap:
		m.rewrap()
	case restoreVault, restoreDatabase:
		m.restore()
	case eraser:
		m.sweepErasure()
	case lander:
		m.sweepEscrow()
	case revoker:
		m.revokeJob()
	}
}

// crash ends a process. An answer that it held and that is stored nowhere is lost: this is the one window.
func (w *world) crash(s *state, i int) {
	a := &s.actors[i]
	held := a.hand
	*a = actor{kind: a.kind, at: crashed}
	if held.grant != 0 && w.opens(s, held.token) && !w.inHand(s, held.grant) {
		w.lose(s, held.grant)
	}
}

// surroundings is what happens to the processes from outside.
func (x *explorer) surroundings(s state, tell func(actor int8, what string, next state)) {
	for n, l := range []lock{s.grantLock, s.attemptLock} {
		if l.owner == 0 || l.expired {
			continue
		}
		owner := s.actors[l.owner-1]
		next := s
		if owner.alive() {
			// It stands still for longer than its lock. Between the mark and the provider's answer the deadlines of the calls,
			// which all fit into the lock, keep it from that.
			during := owner.at == refreshSend || owner.at == refreshCalling
			if s.left.freezes == 0 || during {
				continue
			}
			next.left.freezes--
			next.froze = true
		}
		[]*lock{&next.grantLock, &next.attemptLock}[n].expired = true
		tell(int8(l.owner-1), "'s lock runs out", next)
	}
	if s.late != (token{}) {
		next := s
		if _, ok := x.profile.refresh(&next, s.late); ok {
			x.lose(&next, s.late.grant)
		}
		next.late = token{}
		tell(-1, "the provider processes the late request", next)
	}
}

// recover carries out what the sweeper and the next readers do where nothing goes wrong any more. Each is given a while:
// a refusal must be seen twice before it counts. soon ends it as soon as all is right.
func (w *world) recover(s state, soon bool) (_ state, trace []string, err error) {
	s.left, s.late = budget{}, token{}
	for i := range s.actors {
		s.actors[i] = actor{kind: s.actors[i].kind, at: atEnd}
	}
	for range 3 {
		for _, k := range []kind{resumer, lander, eraser, eraser, revoker, revoker, revoker} {
			s = w.alone(s, k, first, &trace)
		}
		for c := range uint8(connections) {
			s = w.alone(s, refresher, c, &trace)
		}
		if soon && w.atRest(&s) == nil {
			break
		}
	}
	return s, trace, w.atRest(&s)
}

// alone runs one machine to its end. Its place among the actors gives the number of its attempt, so each round has one.
func (w *world) alone(s state, k kind, c uint8, trace *[]string) state {
	for _, l := range []*lock{&s.grantLock, &s.attemptLock} {
		if l.owner != 0 {
			l.expired = true
		}
	}
	i := len(s.actors) - 1
	s.wrote = [connections][12]uint8{} // numbers of attempts come again from here on
	s.actors[i] = actor{kind: k, connection: c}
	for s.actors[i].alive() {
		moved := false
		w.step(s, i, func(what string, next state) {
			if !moved {
				moved, s = true, next
				*trace = append(*trace, "afterwards "+names[k]+" "+what)
			}
		})
		if !moved {
			break
		}
	}
	s.actors[i] = actor{}
	return s
}

var names = map[kind]string{
	refresher: "refresher", authorization: "authorization", deletion: "deletion", rewrap: "re-wrap", restoreVault: "operator",
	restoreDatabase: "operator", resumer: "resumer", eraser: "eraser", lander: "lander", revoker: "revoker",
}

// trace is the way to a state.
func (x *explorer) trace(i int32) []string {
	var back []string
	for ; x.nodes[i].parent >= 0; i = x.nodes[i].parent {
		n := x.nodes[i]
		who := ""
		if n.actor >= 0 {
			who = fmt.Sprintf("%s %d ", names[x.states[0].actors[n.actor].kind], n.actor+1)
		}
		back = append(back, strings.Replace(who+n.what, " 's", "'s", 1))
	}
	for l, r := 0, len(back)-1; l < r; l, r = l+1, r-1 {
		back[l], back[r] = back[r], back[l]
	}
	return back
}
