package database_test

import (
	"testing"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/internal/database"
	"github.com/tokenkeep/tokenkeep/internal/servicetest"
)

// TestSignals wake those who watch the same thing, in this process and, on PostgreSQL, in others, and nobody else.
func TestSignals(t *testing.T) {
	servicetest.EachDatabase(t, func(t *testing.T, url string) {
		here, there := servicetest.OpenDatabase(t, url), servicetest.OpenDatabase(t, url)
		one, other := uuid.New(), uuid.New()
		mine := here.Watch(database.Settled, one)
		defer mine.Stop()
		watches := []*database.Watch{mine}
		if here.Dialect == "postgres" {
			theirs := there.Watch(database.Settled, one)
			defer theirs.Stop()
			<-theirs.C // it listens now
			watches = append(watches, theirs)
			<-mine.C
		}
		foreign := here.Watch(database.Settled, other)
		defer foreign.Stop()
		topic := here.Watch(database.Due, one)
		defer topic.Stop()
		for range 3 {
			here.Signal(database.Settled, one)
			for _, w := range watches {
				<-w.C
			}
		}
		for _, w := range []*database.Watch{foreign, topic} {
			select {
			case <-w.C:
				t.Error("woken for something else")
			default:
			}
		}
	})
}

// TestManySignals: a thousand at once come through, and a watch that nobody looks at holds nobody up.
func TestManySignals(t *testing.T) {
	url := servicetest.Postgres(t)
	here, there := servicetest.OpenDatabase(t, url), servicetest.OpenDatabase(t, url)
	ids := make([]uuid.UUID, 1000)
	watches := make([]*database.Watch, len(ids))
	for i := range ids {
		ids[i] = uuid.New()
		watches[i] = there.Watch(database.Settled, ids[i])
		defer watches[i].Stop()
	}
	for _, w := range watches {
		<-w.C // it listens now
	}
	for range 5 {
		for _, id := range ids {
			here.Signal(database.Settled, id)
		}
	}
	for _, w := range watches {
		<-w.C
	}
}

// TestListenerIsReplaced: where the connection that listens is cut everybody is woken, and later signals come through.
func TestListenerIsReplaced(t *testing.T) {
	url := servicetest.Postgres(t)
	here, there := servicetest.OpenDatabase(t, url), servicetest.OpenDatabase(t, url)
	one := uuid.New()
	w := there.Watch(database.Settled, one)
	defer w.Stop()
	<-w.C // it listens
	if _, err := here.SQL().ExecContext(t.Context(),
		"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE '%listener'"); err != nil {
		t.Fatal(err)
	}
	<-w.C // it was cut off
	for listening := 0; listening == 0; {
		if err := here.SQL().QueryRowContext(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"+
			" AND application_name LIKE '%listener' AND state = 'idle' AND query LIKE 'LISTEN%'").Scan(&listening); err != nil {
			t.Fatal(err)
		}
	}
	later := uuid.New()
	again := there.Watch(database.Settled, later)
	defer again.Stop()
	here.Signal(database.Settled, later)
	<-again.C
}

// TestSignalsAfterClose do nothing.
func TestSignalsAfterClose(t *testing.T) {
	servicetest.EachDatabase(t, func(t *testing.T, url string) {
		db, err := database.Open(t.Context(), url, database.Options{})
		if err != nil {
			t.Fatal(err)
		}
		db.Signal(database.Due, uuid.Nil)
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		db.Signal(database.Due, uuid.Nil)
		db.Watch(database.Due, uuid.Nil).Stop()
	})
}
