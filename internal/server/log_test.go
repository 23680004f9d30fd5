package server_test

import (
	"strings"
	"testing"

	"github.com/tokenkeep/tokenkeep/internal/id"
)

func TestAccessLog(t *testing.T) {
	url, log := start(t)
	got := send(t, "POST", url+"/graphql?code=secretcode", "Authorization", "Bearer "+goodKey, "Cookie", "session=secretcookie")
	line := lastLine(t, log)
	for _, want := range []string{
		"msg=request", "method=POST", "path=/graphql ", "status=202", "duration=", "remote=127.0.0.1",
		"request=" + got.header.Get("X-Request-Id"), "tenant=" + id.Tenant.Format(home), "key=" + id.Key.Format(keyID),
	} {
		if !strings.Contains(line+" ", want) {
			t.Errorf("the line %q lacks %q", line, want)
		}
	}
	if strings.Contains(line, "secret") || strings.Contains(line, goodKey) {
		t.Errorf("the line %q has what it must not", line)
	}

	send(t, "POST", url+"/graphql", "Authorization", "Bearer "+operatorKey, "Tokenkeep-Tenant", id.Tenant.Format(home))
	if line := lastLine(t, log); !strings.Contains(line, "operator=true") || strings.Contains(line, "key=") {
		t.Errorf("got the line %q, want the operator and no key", line)
	}
	send(t, "GET", url+"/"+strings.Repeat("x", 3000))
	if line := lastLine(t, log); len(line) > 600 {
		t.Errorf("one request wrote %d bytes", len(line))
	}
	send(t, "GET", url+"/graphql/"+goodKey+strings.Repeat("k", 40)+"/more")
	if line := lastLine(t, log); strings.Contains(line, goodKey) || !strings.Contains(line, "path=/graphql/(long)/more") {
		t.Errorf("got %q, want no key of a path", line)
	}
	send(t, "GET", url+"/healthz")
	if line := lastLine(t, log); !strings.Contains(line, "level=DEBUG") {
		t.Errorf("got %q, want probes at debug", line)
	}
}

// lastLine is the newest line of the log; the server writes it before the answer is complete, or just after.
func lastLine(t *testing.T, log *journal) string {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	return lines[len(lines)-1]
}

func TestPanics(t *testing.T) {
	url, log := start(t)
	got := send(t, "POST", url+"/graphql?do=panic")
	if f := got.failure(t); got.status != 500 || f.Extensions.Code != "INTERNAL" {
		t.Errorf("got %d %+v, want 500 INTERNAL", got.status, f)
	}
	if text := log.String(); !strings.Contains(text, "recovering from a panic") || !strings.Contains(text, "panic=string") {
		t.Errorf("got the log %q, want the panic with the type of its value", text)
	}
	send(t, "POST", url+"/graphql?do=index")
	if text := log.String(); !strings.Contains(text, "index out of range") {
		t.Error("the runtime's own text is not in the log")
	}
	if _, err := try(t, "POST", url+"/graphql?do=begin+and+panic"); err == nil {
		t.Error("half an answer looks like a whole one")
	}
	before := strings.Count(log.String(), "recovering from a panic")
	if _, err := try(t, "POST", url+"/graphql?do=abort"); err == nil {
		t.Error("an answer was given where the connection was to be cut")
	}
	if after := strings.Count(log.String(), "recovering from a panic"); after != before {
		t.Error("a cut that was asked for is logged as a panic")
	}
	if strings.Contains(log.String(), "secret payload") {
		t.Error("a panic's value is in the log")
	}
}
