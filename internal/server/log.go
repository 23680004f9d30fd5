package server

import (
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/internal/errs"
	"github.com/tokenkeep/tokenkeep/internal/id"
	"github.com/tokenkeep/tokenkeep/internal/tenant"
)

// maxLoggedPath bounds what one request can write into the log, maxLoggedName a part of its path, in bytes: ids are
// shorter than that, and keys and tokens, which somebody may put there by mistake, are not.
const (
	maxLoggedPath = 200
	maxLoggedName = 32
)

// logged writes a line for each request: no query, no header, no body, for each of them may carry a code or a key.
// Probes come every few seconds and are worth a line only to those who look closely.
func logged(log *slog.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		started := time.Now()
		out := &recorder{ResponseWriter: w}
		defer func() { // also where the connection is cut by a panic
			level := slog.LevelInfo
			if r.URL.Path == "/healthz" || r.URL.Path == "/readyz" {
				level = slog.LevelDebug
			}
			if !log.Enabled(r.Context(), level) {
				return
			}
			log.LogAttrs(r.Context(), level, "request", line(r, out.status, time.Since(started))...)
		}()
		next.ServeHTTP(out, r)
	})
}

func line(r *http.Request, status int, took time.Duration) []slog.Attr {
	request := tenant.RequestFrom(r.Context())
	attrs := []slog.Attr{
		slog.String("request", request.ID), slog.String("method", r.Method), slog.String("path", loggedPath(r.URL.Path)),
		slog.Int("status", status), slog.Duration("duration", took), slog.String("remote", request.RemoteAddress),
	}
	v := callerOf(r.Context()).viewer
	if v == nil {
		return attrs
	}
	if v.Tenant != uuid.Nil {
		attrs = append(attrs, slog.String("tenant", id.Tenant.Format(v.Tenant)))
	}
	if v.IsOperator {
		return append(attrs, slog.Bool("operator", true))
	}
	return append(attrs, slog.String("key", id.Key.Format(v.KeyID)))
}

// loggedPath is a path without what does not belong into one.
func loggedPath(path string) string {
	parts := strings.Split(path, "/")
	for i, part := range parts {
		if len(part) > maxLoggedName {
			parts[i] = "(long)"
		}
	}
	path = strings.Join(parts, "/")
	return path[:min(len(path), maxLoggedPath)]
}

// recovered turns a panic into an answer and a line in the log, without its value, which may hold anything. Where the
// answer has begun, the connection is cut, so that the caller does not take half an answer for a whole one.
func recovered(log *slog.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		out := &recorder{ResponseWriter: w}
		defer func() {
			value := recover()
			if value == nil {
				return
			}
			if value == http.ErrAbortHandler { //nolint:errorlint // the very value, as net/http compares it
				panic(value)
			}
			log.LogAttrs(r.Context(), slog.LevelError, "recovering from a panic",
				slog.String("request", tenant.RequestFrom(r.Context()).ID),
				slog.String("panic", describe(value)), slog.String("stack", string(debug.Stack())))
			if out.status != 0 {
				panic(http.ErrAbortHandler)
			}
			refuse(w, r, http.StatusInternalServerError, errs.New(errs.Internal, internalText))
		}()
		next.ServeHTTP(out, r)
	})
}

// describe names a panic's value; only the runtime's own text is known to be harmless.
func describe(value any) string {
	if fault, ok := value.(runtime.Error); ok {
		return fault.Error()
	}
	return fmt.Sprintf("%T", value)
}

// recorder remembers the status; zero while nothing was sent.
type recorder struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements http.ResponseWriter.
func (o *recorder) WriteHeader(status int) {
	if o.status == 0 || o.status < http.StatusOK { // 1xx are sent ahead of the one that counts
		o.status = status
	}
	o.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (o *recorder) Write(b []byte) (int, error) {
	if o.status == 0 {
		o.status = http.StatusOK
	}
	return o.ResponseWriter.Write(b)
}

// Unwrap is for http.ResponseController.
func (o *recorder) Unwrap() http.ResponseWriter { return o.ResponseWriter }
