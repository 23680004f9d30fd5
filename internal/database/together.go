package database

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// together answers callers' questions many at a time: while one statement is on its way to PostgreSQL, those who come
// wait, and the next takes all of them along. A request under load thus costs a part of a round trip, and of what a
// statement costs the server; one that comes alone waits for nobody. What a statement reads is read after each of its
// requests began, so nothing is older than it would be in a statement of its own.
type together struct {
	pool *sql.DB

	mu      sync.Mutex
	waiting []*ask
	running int
}

const (
	// statementsAtOnce is how many statements may be under way: a second one fills the time in which the first one's
	// answers are handled.
	statementsAtOnce = 2
	// asksAtOnce bounds a statement.
	asksAtOnce = 64
	// askWithin bounds the wait for a statement; whoever has less patience leaves by himself.
	askWithin = 10 * time.Second
)

// newTogether opens the connections for callerSQL. They plan it once: with the sequential scan and the joins by hashing
// and merging switched off, what is left is to look up each key by its index, which is right whatever the tables hold.
func newTogether(config *pgx.ConnConfig) *together {
	own := config.Copy()
	own.RuntimeParams["plan_cache_mode"] = "force_generic_plan"
	for _, switched := range []string{"enable_seqscan", "enable_hashjoin", "enable_mergejoin", "jit"} {
		own.RuntimeParams[switched] = "off"
	}
	return &together{pool: postgresPool(own, statementsAtOnce)}
}

// ask waits for the answer.
func (t *together) ask(ctx context.Context, a *ask) error {
	a.done = make(chan struct{})
	t.mu.Lock()
	t.waiting = append(t.waiting, a)
	start := t.running < statementsAtOnce
	if start {
		t.running++
	}
	t.mu.Unlock()
	if start {
		go t.run()
	}
	select {
	case <-a.done:
		return a.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// run answers until nobody waits.
func (t *together) run() {
	for asks := t.next(); len(asks) != 0; asks = t.next() {
		err := t.answer(asks)
		for _, a := range asks {
			if err != nil {
				a.err = err
			}
			close(a.done)
		}
	}
}

// next takes those who wait, the first to come first; with nobody left, the caller is not running any more.
func (t *together) next() []*ask {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := min(len(t.waiting), asksAtOnce)
	asks := t.waiting[:n:n]
	if t.waiting = t.waiting[n:]; len(t.waiting) == 0 {
		t.waiting = nil
	}
	if n == 0 {
		t.running--
	}
	return asks
}

// togetherSQL has the asks in two lists of equal length.
var togetherSQL = fmt.Sprintf(callerSQL, `(SELECT n - 1 AS n, hash, connection
	FROM unnest($1::bytea[], $2::uuid[]) WITH ORDINALITY AS list(hash, connection, n)) AS a`)

func (t *together) answer(asks []*ask) error {
	ctx, cancel := context.WithTimeout(context.Background(), askWithin)
	defer cancel()
	hashes, connections := make([][]byte, len(asks)), make([]uuid.UUID, len(asks))
	for i, a := range asks {
		hashes[i], connections[i] = a.hash, a.connection
	}
	rows, err := t.pool.QueryContext(ctx, togetherSQL, hashes, connections)
	if err != nil {
		return err
	}
	return scanAnswers(rows, asks)
}
