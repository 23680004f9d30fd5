package zoomsim_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/tokenkeep/tokenkeep/internal/zoomsim"
)

const html502 = "<html><body>502 Bad Gateway</body></html>"

func TestFaults(t *testing.T) {
	for _, tc := range []struct {
		name      string
		fault     zoomsim.Fault
		wantErr   error // of the client
		wantReply func(reply) bool
		rotated   bool
	}{
		{name: "status with HTML", fault: zoomsim.Fault{Status: 502, Body: html502, ContentType: "text/html"},
			wantReply: func(r reply) bool {
				return r.status == 502 && r.body == html502 && r.header.Get("Content-Type") == "text/html"
			}},
		{name: "status with Retry-After", fault: zoomsim.Fault{Status: 429, Body: `{"code":429}`, RetryAfter: "2026-11-02T00:00:00Z"},
			wantReply: func(r reply) bool {
				return r.status == 429 && r.body == `{"code":429}` && r.header.Get("Retry-After") == "2026-11-02T00:00:00Z"
			}},
		{name: "status after commit", fault: zoomsim.Fault{Status: 504, Commit: true}, rotated: true,
			wantReply: func(r reply) bool { return r.status == 504 && r.body == "" }},
		{name: "drop", fault: zoomsim.Fault{Drop: true}, wantErr: io.EOF},
		{name: "commit, then drop", fault: zoomsim.Fault{Drop: true, Commit: true}, wantErr: io.EOF, rotated: true},
		{name: "truncated body", fault: zoomsim.Fault{Truncate: true}, wantErr: io.ErrUnexpectedEOF, rotated: true,
			wantReply: func(r reply) bool { return r.status == 200 && strings.HasPrefix(r.body, `{"access_token":"zsim_at_`) }},
		{name: "omitted members", fault: zoomsim.Fault{Omit: []string{"refresh_token", "expires_in", "scope"}}, rotated: true,
			wantReply: func(r reply) bool {
				return r.status == 200 && !strings.Contains(r.body, "refresh_token") && !strings.Contains(r.body, "expires_in") &&
					!strings.Contains(r.body, "scope") && strings.Contains(r.body, "access_token")
			}},
		{name: "extra members", fault: zoomsim.Fault{Extra: map[string]any{"surprise": []any{1}, "expires_in": "soon"}}, rotated: true,
			wantReply: func(r reply) bool {
				return strings.Contains(r.body, `"surprise":[1]`) && strings.Contains(r.body, `"expires_in":"soon"`)
			}},
		{name: "delay", fault: zoomsim.Fault{DelayMillis: 1}, rotated: true,
			wantReply: func(r reply) bool { return r.status == 200 }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			z := newZoom(t)
			tk := z.connect("ada")
			tc.fault.Endpoint, tc.fault.Count = zoomsim.EndpointToken, 1
			if _, err := z.AddFault(tc.fault); err != nil {
				t.Fatal(err)
			}
			r, err := z.try("/oauth/token", refreshForm(tk.Refresh))
			if !errors.Is(err, tc.wantErr) {
				t.Errorf("error: got %v, want %v", err, tc.wantErr)
			}
			if tc.wantReply != nil && !tc.wantReply(r) {
				t.Errorf("got %d %v %s", r.status, r.header, r.body)
			}
			wantGeneration := 1
			if tc.rotated {
				wantGeneration = 2
			}
			if got := z.Ledger().Grants[0].Generation; got != wantGeneration {
				t.Errorf("generation: got %d, want %d", got, wantGeneration)
			}
			if tc.rotated {
				z.wantDead(tk.Refresh)
			} else {
				z.refresh(tk.Refresh)
			}
		})
	}
}

func TestFaultMatching(t *testing.T) {
	z := newZoom(t)
	tk := z.connect("ada")
	down := func(f zoomsim.Fault) {
		t.Helper()
		f.Status = 503
		if _, err := z.AddFault(f); err != nil {
			t.Fatal(err)
		}
	}
	down(zoomsim.Fault{Endpoint: zoomsim.EndpointMe, ClientID: clientID, Count: 1})
	down(zoomsim.Fault{Endpoint: zoomsim.EndpointToken, GrantType: "authorization_code"})
	down(zoomsim.Fault{Endpoint: zoomsim.EndpointRevoke, ClientID: otherID})
	down(zoomsim.Fault{Endpoint: zoomsim.EndpointAuthorize, Count: 2})

	got := []int{
		z.me(tk.Access).status, z.me(tk.Access).status,
		z.post("/oauth/token", codeForm("x")).status,
		z.post("/oauth/revoke", nil).status,
		z.get("/oauth/authorize").status, z.get("/oauth/authorize").status, z.get("/oauth/authorize").status,
	}
	want := []int{503, 200, 503, 400, 503, 503, 400}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("request %d: got %d, want %d", i, got[i], want[i])
		}
	}
	z.refresh(tk.Refresh) // another grant type
	taken := []int{}
	for _, f := range z.Faults() {
		taken = append(taken, f.Taken)
	}
	if want := []int{1, 1, 0, 2}; len(taken) != 4 || taken[0] != want[0] || taken[1] != want[1] || taken[2] != want[2] || taken[3] != want[3] {
		t.Errorf("taken: got %v, want %v", taken, want)
	}
	z.ClearFaults()
	z.connect("bob")
}

func TestFaultsThatMakeNoSense(t *testing.T) {
	z := newZoom(t)
	for name, f := range map[string]zoomsim.Fault{
		"no effect":                 {Endpoint: zoomsim.EndpointToken},
		"unknown endpoint":          {Endpoint: "webhook", Drop: true},
		"drop with status":          {Endpoint: zoomsim.EndpointToken, Drop: true, Status: 500},
		"body without status":       {Endpoint: zoomsim.EndpointToken, Drop: true, Body: "x"},
		"commit alone":              {Endpoint: zoomsim.EndpointToken, Commit: true, Truncate: true},
		"status out of range":       {Endpoint: zoomsim.EndpointToken, Status: 99},
		"negative count":            {Endpoint: zoomsim.EndpointToken, Drop: true, Count: -1},
		"unending delay":            {Endpoint: zoomsim.EndpointToken, DelayMillis: 1 << 30},
		"edit of a replaced answer": {Endpoint: zoomsim.EndpointToken, Status: 500, Omit: []string{"scope"}},
	} {
		if _, err := z.AddFault(f); !errors.Is(err, zoomsim.ErrInvalid) {
			t.Errorf("%s: got %v, want ErrInvalid", name, err)
		}
	}
	if err := z.RemoveFault("fault-9"); !errors.Is(err, zoomsim.ErrNotFound) {
		t.Errorf("removing what is not there: got %v, want ErrNotFound", err)
	}
}

func TestHoldAfterProcessing(t *testing.T) {
	z := newZoom(t)
	tk := z.connect("ada")
	hold, err := z.Hold(zoomsim.Fault{Endpoint: zoomsim.EndpointToken, Count: 1}, zoomsim.AfterProcessing)
	if err != nil {
		t.Fatal(err)
	}
	ctx, leave := context.WithCancel(t.Context())
	left := make(chan error)
	go func() {
		_, err := z.try("/oauth/token", refreshForm(tk.Refresh), func(r *http.Request) { *r = *r.WithContext(ctx) })
		left <- err
	}()
	<-hold.Arrived()
	if got := z.Ledger().Grants[0].Generation; got != 2 {
		t.Errorf("generation while held: got %d, want 2", got)
	}
	leave()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("the caller who left: got %v", err)
	}
	hold.Release()
	hold.Release()
	z.wantDead(tk.Refresh)
}

func TestAbandonedRequestIsStillProcessed(t *testing.T) {
	z := newZoom(t)
	tk := z.connect("ada")
	before, err := z.Hold(zoomsim.Fault{Endpoint: zoomsim.EndpointToken, Count: 1}, zoomsim.BeforeProcessing)
	if err != nil {
		t.Fatal(err)
	}
	ctx, leave := context.WithCancel(t.Context())
	left := make(chan error)
	go func() {
		_, err := z.try("/oauth/token", refreshForm(tk.Refresh), func(r *http.Request) { *r = *r.WithContext(ctx) })
		left <- err
	}()
	<-before.Arrived()
	leave()
	<-left
	winner := make(chan int)
	second, err := z.Hold(zoomsim.Fault{Endpoint: zoomsim.EndpointToken, Count: 1}, zoomsim.BeforeProcessing)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		r, _ := z.try("/oauth/token", refreshForm(tk.Refresh))
		winner <- r.status
	}()
	<-second.Arrived()
	before.Release()
	second.Release()
	<-winner
	// Whichever of the two came first, the token was spent exactly once.
	if l := z.Ledger(); l.Totals.Rotations != 1 {
		t.Errorf("rotations: got %d, want 1", l.Totals.Rotations)
	}
}

func TestClearFaultsReleasesHolds(t *testing.T) {
	z := newZoom(t)
	tk := z.connect("ada")
	hold, err := z.Hold(zoomsim.Fault{Endpoint: zoomsim.EndpointToken}, zoomsim.BeforeProcessing)
	if err != nil {
		t.Fatal(err)
	}
	status := make(chan int)
	go func() {
		r, _ := z.try("/oauth/token", refreshForm(tk.Refresh))
		status <- r.status
	}()
	<-hold.Arrived()
	z.ClearFaults()
	if got := <-status; got != 200 {
		t.Errorf("got %d, want 200", got)
	}
	hold.Release()
}
