package server

import (
	"context"
	"errors"
)

// The methods of this file are those of the same names without a test: for tools that go on, or tell, when one fails.

// TryStop is Stop.
func (s *Server) TryStop() error { return s.process.stop() }

// TryBoot is Boot.
func (s *Server) TryBoot() error { return s.launch() }

// TrySeal is Seal.
func (s *Server) TrySeal(ctx context.Context) error { return s.client.Sys().SealWithContext(ctx) }

// TryUnseal is Unseal.
func (s *Server) TryUnseal(ctx context.Context) error {
	return errors.Join(s.unseal(ctx), s.awaitKV(ctx, s.options.KVMount))
}
