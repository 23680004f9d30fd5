package main

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"strings"
	"testing"

	"github.com/tokenkeep/tokenkeep/internal/errs"
)

func TestExitCodes(t *testing.T) {
	tests := []struct {
		args string
		want int
	}{
		{"version", exitDone},
		{"serve --public-url nowhere", exitFailed},
		{"serve --nonsense", exitUsage},
		{"nonsense", exitUsage},
		{"", exitUsage},
	}
	for _, tt := range tests {
		var out, err bytes.Buffer
		s := signals{stop: t.Context(), force: context.Background()}
		got := run(strings.Fields(tt.args), s, &terminal{in: strings.NewReader(""), out: &out, err: &err}, nil)
		if got != tt.want {
			t.Errorf("%q: got %d, want %d", tt.args, got, tt.want)
		}
		if failed := tt.want != exitDone; failed != (err.Len() > 0) || failed == (out.Len() > 0) {
			t.Errorf("%q: got %q on standard output and %q on standard error", tt.args, &out, &err)
		}
	}
}

func TestExplain(t *testing.T) {
	tests := []struct {
		err  error
		want string
	}{
		{errors.New("opening it: no"), "opening it: no"},
		{errs.Input("name", "name must not be empty").WithCause(fs.ErrInvalid), "name must not be empty"},
		{errs.New(errs.VaultUnavailable, "the vault is not available").WithCause(fs.ErrPermission), "the vault is not available: permission denied"},
		{errs.New(errs.VaultUnavailable, "the vault is not available"), "the vault is not available"},
		{errs.New(errs.Internal, "something went wrong").WithCause(fs.ErrPermission), "INTERNAL: something went wrong: permission denied"},
	}
	for _, tt := range tests {
		if got := explain(tt.err); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}
