package connection_test

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent"
	entconnection "github.com/tokenkeep/tokenkeep/ent/connection"
	"github.com/tokenkeep/tokenkeep/ent/connectionmetadata"
	"github.com/tokenkeep/tokenkeep/internal/connection"
	"github.com/tokenkeep/tokenkeep/internal/errs"
	"github.com/tokenkeep/tokenkeep/internal/metadata"
	"github.com/tokenkeep/tokenkeep/internal/secret"
	"github.com/tokenkeep/tokenkeep/internal/servicetest"
	"github.com/tokenkeep/tokenkeep/internal/tenant"
	"github.com/tokenkeep/tokenkeep/internal/zoomsim"
)

const codeField = "grant.authorizationCode.code"

func TestCreate(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		before := k.Clock.Now()
		c, created, err := k.create(k.Consent(t, "Ada Lovelace"), func(in *connection.CreateInput) {
			in.App, in.Subject, in.Metadata = nil, ptr("user-7"), &map[string]string{"team": "red", "plan": "pro"}
			in.LocalRecording, in.Kind = ptr(false), ptr("INSTALLATION")
		})
		if err != nil || !created {
			t.Fatalf("created %v, %v", created, err)
		}
		u, _ := k.Zoom.User("Ada Lovelace")
		if c.TenantID != k.one.ID || c.AppID != k.one.App.ID || c.Provider != "zoom" || c.Kind != entconnection.KindINSTALLATION ||
			c.GrantType != entconnection.GrantTypeAUTHORIZATION_CODE || c.State != entconnection.StateCONNECTED || *c.Subject != "user-7" ||
			*c.ExternalUserID != u.ID || *c.ExternalAccountID != u.AccountID || *c.ExternalEmail != u.Email || *c.ExternalDisplayName != u.DisplayName ||
			c.LocalRecordingToken || c.OnBehalfToken || c.Generation != 1 || c.EventSequence != 1 || connection.FailureOf(c) != nil {
			t.Errorf("got %+v", c)
		}
		want := slices.Sorted(slices.Values(slices.Concat(servicetest.Scopes, servicetest.OptionalScopes)))
		if got := slices.Sorted(slices.Values(c.Scopes)); !slices.Equal(got, want) {
			t.Errorf("got scopes %v, want %v", got, want)
		}
		if len(connection.MissingScopes(c, k.one.App)) != 0 {
			t.Errorf("missing %v", connection.MissingScopes(c, k.one.App))
		}
		expires, next := before.Add(3599*time.Second), before.Add(3599*time.Second-5*time.Minute)
		if !c.ConsentedAt.Equal(before) || !c.AccessTokenExpiresAt.Equal(expires) || !c.NextRefreshAt.Equal(next) || c.AccessTokenLife != 3599 {
			t.Errorf("got consented %v, expires %v, next refresh %v, life %d", c.ConsentedAt, c.AccessTokenExpiresAt, c.NextRefreshAt, c.AccessTokenLife)
		}
		k.indexed(c, map[string]string{"team": "red", "plan": "pro"})
		k.wantEvents(c.ID, "CREATED")
		if e := k.eventRows(c.ID)[0]; e.TenantID != k.one.ID || e.PreviousState != "" || e.State != "CONNECTED" || !maps.Equal(e.Metadata, c.Metadata) {
			t.Errorf("got event %+v", e)
		}
		if got := k.trail(c.ID); !slices.Equal(got, []string{"connection.create"}) {
			t.Errorf("got trail %v", got)
		}
		k.served(k.read(c.ID), 1)
		k.totals(1, 0)
	})
}

// indexed compares the side table with the metadata.
func (k *kit) indexed(c *ent.Connection, want map[string]string) {
	k.t.Helper()
	if !maps.Equal(c.Metadata, want) {
		k.t.Errorf("got metadata %v, want %v", c.Metadata, want)
	}
	rows, err := k.DB.Ent.ConnectionMetadata.Query().Where(connectionmetadata.ConnectionID(c.ID)).All(k.one.Ctx)
	if err != nil || len(rows) != len(want) {
		k.t.Errorf("%d pairs are indexed, want %d (%v)", len(rows), len(want), err)
	}
	for key, value := range want {
		_, pair := metadata.Digests(key, value)
		if !slices.ContainsFunc(rows, func(r *ent.ConnectionMetadata) bool { return slices.Equal(r.PairDigest, pair) }) {
			k.t.Errorf("%s=%s is not indexed", key, value)
		}
	}
}

func TestCreateWithPKCE(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		verifier := strings.Repeat("v", 43)
		code := k.ConsentPKCE(t, user, verifier)
		_, _, err := k.create(code, func(in *connection.CreateInput) { in.Code.Verifier = secret.New(strings.Repeat("w", 43)) })
		fails(t, err, errs.ProviderRejected, codeField)
		code = k.ConsentPKCE(t, user, verifier)
		c, created, err := k.create(code, func(in *connection.CreateInput) { in.Code.Verifier = secret.New(verifier) })
		if err != nil || !created {
			t.Fatalf("created %v, %v", created, err)
		}
		k.served(k.read(c.ID), 1)
	})
}

// TestCreateRefusesBeforeSending: what can be checked is checked before the code, which works once, is sent.
func TestCreateRefusesBeforeSending(t *testing.T) {
	o := keys()
	k := local(t, o)
	keysApp := k.App(t, k.other, "keys")
	code := k.Consent(t, user)
	long := strings.Repeat("x", 5000)
	for name, test := range map[string]struct {
		edit  func(in *connection.CreateInput)
		field string
		kind  errs.Kind
	}{
		"no grant":             {func(in *connection.CreateInput) { in.Code = nil }, "grant", ""},
		"two grants":           {func(in *connection.CreateInput) { in.APIKey = &connection.APIKeyGrant{APIKey: secret.New("k")} }, "grant", ""},
		"empty code":           {func(in *connection.CreateInput) { in.Code.Code = secret.New(" ") }, codeField, ""},
		"long code":            {func(in *connection.CreateInput) { in.Code.Code = secret.New(long) }, codeField, ""},
		"a whole URL's rest":   {func(in *connection.CreateInput) { in.Code.Code = secret.New("abc def") }, codeField, ""},
		"no redirect":          {func(in *connection.CreateInput) { in.Code.RedirectURI = "" }, "grant.authorizationCode.redirectUri", ""},
		"other redirect":       {func(in *connection.CreateInput) { in.Code.RedirectURI += "/" }, "grant.authorizationCode.redirectUri", ""},
		"short verifier":       {func(in *connection.CreateInput) { in.Code.Verifier = secret.New("short") }, "grant.authorizationCode.codeVerifier", ""},
		"odd verifier":         {func(in *connection.CreateInput) { in.Code.Verifier = secret.New(strings.Repeat("ü", 30)) }, "grant.authorizationCode.codeVerifier", ""},
		"long subject":         {func(in *connection.CreateInput) { in.Subject = &long }, "subject", ""},
		"NUL subject":          {func(in *connection.CreateInput) { in.Subject = ptr("a\x00b") }, "subject", ""},
		"unknown kind":         {func(in *connection.CreateInput) { in.Kind = ptr("ROBOT") }, "kind", ""},
		"empty metadata key":   {func(in *connection.CreateInput) { in.Metadata = &map[string]string{"": "x"} }, "metadata", ""},
		"oversize metadata":    {func(in *connection.CreateInput) { in.Metadata = &map[string]string{"k": strings.Repeat("x", 9000)} }, "metadata", ""},
		"unknown app":          {func(in *connection.CreateInput) { in.App = ptr(uuid.New()) }, "app", errs.NotFound},
		"another tenant's app": {func(in *connection.CreateInput) { in.App = &k.other.App.ID }, "app", errs.NotFound},
		"another tenant's app of another provider": {func(in *connection.CreateInput) { in.App = &keysApp.ID }, "app", errs.NotFound},
	} {
		_, _, err := k.create(code, test.edit)
		if test.kind == "" {
			test.kind = errs.BadUserInput
		}
		t.Run(name, func(t *testing.T) { fails(t, err, test.kind, test.field) })
	}
	if got := k.OAuth.Calls("Exchange"); got != 0 {
		t.Errorf("a code was sent %d times", got)
	}
	if _, created, err := k.create(code, nil); err != nil || !created {
		t.Errorf("the code was spent: %v", err)
	}
}

// TestCreateByWhoMayNot refuses callers, and says so in the trail.
func TestCreateByWhoMayNot(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		code := k.Consent(t, user)
		_, _, err := k.Connections.Create(k.one.As(t, tenant.ConnectionsRead, tenant.CredentialsRead), k.one.CodeInput(code))
		fails(t, err, errs.Forbidden, "")
		_, _, err = k.Connections.Create(t.Context(), k.one.CodeInput(code))
		fails(t, err, errs.Unauthenticated, "")
		_, _, err = k.Connections.Create(servicetest.Operator(t, uuid.Nil), k.one.CodeInput(code))
		fails(t, err, errs.Forbidden, "")
		if got := k.OAuth.Calls("Exchange"); got != 0 {
			t.Errorf("a code was sent %d times", got)
		}
		c, _, err := k.Connections.Create(servicetest.Operator(t, k.one.ID), k.one.CodeInput(code))
		if err != nil || c.TenantID != k.one.ID {
			t.Errorf("an operator inside the tenant got %+v, %v", c, err)
		}
	})
}

// TestCreateRefusedByTheProvider: each fault of the code is the caller's, on the code, and stays so when it is repeated.
func TestCreateRefusedByTheProvider(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		wrong := "zsim_ac_unknown"
		_, _, err := k.create(wrong, nil)
		fails(t, err, errs.ProviderRejected, codeField)
		if strings.Contains(err.Error(), wrong) {
			t.Errorf("the error quotes the code: %v", err)
		}
		expired := k.Consent(t, user)
		k.Clock.Advance(6 * time.Minute)
		for range 2 {
			_, _, err = k.create(expired, nil)
			fails(t, err, errs.ProviderRejected, codeField)
		}
		if got := k.OAuth.Calls("Exchange"); got != 2 {
			t.Errorf("codes were sent %d times, want each once", got)
		}
		k.totals(0, 0)
	})
}

// TestCreateWithAWrongSecret: the app is at fault, and the code can be used once it is mended.
func TestCreateWithAWrongSecret(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		client := zoomsim.Client{ID: servicetest.ClientID, Secret: "changed at the provider", RedirectURIs: []string{servicetest.RedirectURI}, Scopes: servicetest.Scopes}
		if err := k.Zoom.PutClient(client); err != nil {
			t.Fatal(err)
		}
		code := k.Consent(t, user)
		_, _, err := k.create(code, nil)
		fails(t, err, errs.AppMisconfigured, "app")
		client.Secret = servicetest.ClientSecret
		if err := k.Zoom.PutClient(client); err != nil {
			t.Fatal(err)
		}
		if _, created, err := k.create(code, nil); err != nil || !created {
			t.Errorf("created %v, %v", created, err)
		}
	})
}

// TestSameCodeTwice gives the same caller the same result, and sends the code once.
func TestSameCodeTwice(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		code := k.Consent(t, user)
		first, created, err := k.create(code, nil)
		if err != nil || !created {
			t.Fatalf("created %v, %v", created, err)
		}
		for range 3 {
			again, created, err := k.create(code, nil)
			if err != nil || !created || again.ID != first.ID {
				t.Errorf("got %+v, created %v, %v", again, created, err)
			}
			k.Clock.Advance(3 * time.Minute)
		}
		k.Clock.Advance(2 * time.Minute)
		_, _, err = k.create(code, nil)
		fails(t, err, errs.ProviderRejected, codeField)
		k.totals(1, 0)
		k.wantEvents(first.ID, "CREATED")
		if got := k.OAuth.Calls("Exchange"); got != 1 {
			t.Errorf("the code was sent %d times", got)
		}
	})
}

// TestSameCodeByOthers is refused without asking the provider, which would take the second sending for theft.
func TestSameCodeByOthers(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		code := k.Consent(t, user)
		if _, _, err := k.create(code, nil); err != nil {
			t.Fatal(err)
		}
		_, _, err := k.Connections.Create(k.one.As(t, tenant.ConnectionsWrite), k.one.CodeInput(code))
		fails(t, err, errs.ProviderRejected, codeField)
		_, _, err = k.Connections.Create(k.other.Ctx, k.other.CodeInput(code))
		fails(t, err, errs.ProviderRejected, codeField)
		if got := k.OAuth.Calls("Exchange"); got != 1 {
			t.Errorf("the code was sent %d times", got)
		}
		k.totals(1, 0)
	})
}

// TestSameCodeAtOnce: ten calls in two processes get the same connection.
func TestSameCodeAtOnce(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		code := k.Consent(t, user)
		processes := []*servicetest.Service{k.Service, k.Process(t)}
		var group sync.WaitGroup
		var mu sync.Mutex
		ids := map[uuid.UUID]int{}
		for i := range 10 {
			group.Go(func() {
				c, created, err := processes[i%2].Connections.Create(k.one.Ctx, k.one.CodeInput(code))
				if err != nil || !created {
					t.Errorf("created %v, %v", created, err)
					return
				}
				mu.Lock()
				defer mu.Unlock()
				ids[c.ID]++
			})
		}
		group.Wait()
		if len(ids) != 1 {
			t.Errorf("got %d connections", len(ids))
		}
		k.totals(1, 0)
	})
}

// TestSameCodeAfterADeletion does not bring the connection back.
func TestSameCodeAfterADeletion(t *testing.T) {
	each(t, func(t *testing.T, k *kit) {
		code := k.Consent(t, user)
		c, _, err := k.create(code, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := k.Connections.Delete(k.one.Ctx, c.ID); err != nil {
			t.Fatal(err)
		}
		_, _, err = k.create(code, nil)
		fails(t, err, errs.NotFound, codeField)
	})
}
