package main

import (
	"context"
	"io"
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/tokenkeep/tokenkeep/internal/zoomsim"
)

// TestCtrlCStoresARefreshUnderWay stops dev while the emulator has rotated a refresh token and nobody has the new one
// yet. Nothing else has it, so the process must not end before it is stored.
func TestCtrlCStoresARefreshUnderWay(t *testing.T) {
	for name, force := range map[string]bool{"one signal": false, "two signals": true} {
		t.Run(name, func(t *testing.T) {
			data := filepath.Join(t.TempDir(), "data")
			d := runDev(t, data)
			connection, _, _ := d.connect("ada@acme.test")
			d.stop()

			h := holdRefresh(t, data, connection)
			h.stop()
			if force {
				h.force()
			}
			h.hold.Release()
			if err := <-h.ended; err != nil {
				t.Errorf("got %v at the end, want a clean one", err)
			}

			again := runDev(t, data)
			again.credential(connection, 2, "ada@acme.test")
			if got := again.refresh(connection); got != 3 {
				t.Errorf("got version %d, want 3", got)
			}
			if n := len(again.ledger()); n != 1 {
				t.Errorf("got %d grants, want the one", n)
			}
			again.stop()
		})
	}
}

// heldRefresh is a dev that runs, with a refresh whose answer stands still on its way back.
type heldRefresh struct {
	hold        *zoomsim.Hold
	stop, force context.CancelFunc
	ended       chan error
}

func holdRefresh(t *testing.T, data, connection string) *heldRefresh {
	t.Helper()
	c := &devCmd{Data: data, Listen: "127.0.0.1:0", ZoomListen: "127.0.0.1:0"}
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	d, err := c.start(t.Context(), log)
	if err != nil {
		t.Fatal(err)
	}
	h := &heldRefresh{ended: make(chan error, 1)}
	h.hold, err = d.emulator.Hold(zoomsim.Fault{Endpoint: zoomsim.EndpointToken, GrantType: "refresh_token"}, zoomsim.AfterProcessing)
	if err != nil {
		t.Fatal(err)
	}
	var sig signals
	sig.stop, h.stop = context.WithCancel(context.Background())
	sig.force, h.force = context.WithCancel(context.Background())
	go func() {
		err := d.service.run(sig, d.server, d.listener)
		if e := d.close(); err == nil {
			err = e
		}
		h.ended <- err
	}()
	asking := &devRun{t: t, info: d.info}
	go asking.ask(connection)
	<-h.hold.Arrived()
	return h
}
