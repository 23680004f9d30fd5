package isolation_test

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeep/tokenkeep/internal/zoomsim"
)

// flows are what the service does, for one party.
type flows struct {
	*world
	party *party
}

// as calls as the party's key of all scopes, whatever comes of it.
func (f *flows) as(t *testing.T, document string, variables args) answer {
	t.Helper()
	return f.post(t, f.party.all, document, variables)
}

// wants calls and checks how it ended; "" is well.
func (f *flows) wants(t *testing.T, code, document string, variables args) answer {
	t.Helper()
	a := f.as(t, document, variables)
	if a.code() != code {
		t.Errorf("%s: got %s, want %q", document, a.body, code)
	}
	return a
}

// verifier makes a PKCE verifier and its challenge.
func (f *flows) verifier(t *testing.T) (verifier string, challenge url.Values) {
	t.Helper()
	verifier = "verifier-" + rand.Text() + rand.Text()
	f.hoard.add(t, "PKCE verifier", verifier)
	sum := sha256.Sum256([]byte(verifier))
	return verifier, url.Values{"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"}}
}

func (f *flows) codeInput(code, verifier string) args {
	grant := args{"code": code, "redirectUri": f.party.values["redirect"]}
	if verifier != "" {
		grant["codeVerifier"] = verifier
	}
	return args{"in": args{"app": f.party.values["app"], "grant": args{"authorizationCode": grant}}}
}

// connected connects another user and returns the connection.
func (f *flows) connected(t *testing.T, user string) string {
	t.Helper()
	var made createdConnection
	f.must(t, f.party.all, createConnection, f.codeInput(f.consent(t, f.party, user+"@"+f.party.word+".example.com", nil), ""), &made)
	return made.CreateConnection.Connection.ID
}

// connecting makes, renews and changes connections, and fails to.
func (f *flows) connecting(t *testing.T) {
	t.Helper()
	user := f.party.word + "@example.com"
	verifier, challenge := f.verifier(t)
	code := f.consent(t, f.party, user, challenge)
	f.Clock.Advance(time.Second)
	f.wants(t, "", createConnection, f.codeInput(code, verifier)) // renews
	f.wants(t, "", createConnection, f.codeInput(code, verifier)) // the same again
	other, _ := f.verifier(t)
	_, challenge = f.verifier(t)
	f.wants(t, "PROVIDER_REJECTED", createConnection, f.codeInput(f.consent(t, f.party, user, challenge), other))
	wrong := "zsim_ac_" + rand.Text()
	f.hoard.add(t, "authorization code", wrong)
	f.wants(t, "PROVIDER_REJECTED", createConnection, f.codeInput(wrong, ""))
	f.Clock.Advance(time.Second)
	in := f.codeInput(f.consent(t, f.party, user, nil), "")
	in["in"].(args)["isOnBehalfTokenSupported"] = true
	f.wants(t, "REAUTHORIZATION_REQUIRED", createConnection, in)
	user = "unlucky@" + f.party.word + ".example.com"
	for _, fault := range f.faults(f.hoardLast(t)) {
		fault.Count = 1
		f.fault(t, fault)
		f.as(t, createConnection, f.codeInput(f.consent(t, f.party, user, nil), ""))
		f.Zoom.ClearFaults()
	}
	f.fault(t, zoomsim.Fault{Endpoint: zoomsim.EndpointMe, Status: 401, Body: `{"code":124,"message":"Invalid access token ` + f.hoardLast(t) + `"}`})
	f.as(t, createConnection, f.codeInput(f.consent(t, f.party, user, nil), ""))
	f.Zoom.ClearFaults()
	f.wants(t, "", document(t, "updateConnection", args{"input": nil}), args{"input": args{"id": f.party.values["connection"], "mergeMetadata": args{"plan": "gold"}, "subject": "changed"}})
}

// hoardLast is the newest token that the provider gave.
func (f *flows) hoardLast(t *testing.T) string {
	t.Helper()
	all := f.wire.tokens()
	if len(all) == 0 {
		t.Fatal("no token yet")
	}
	return all[len(all)-1]
}

// faults are the ways in which the token endpoint fails; echo is a token that a careless provider quotes.
func (f *flows) faults(echo string) []zoomsim.Fault {
	return []zoomsim.Fault{
		{Status: 500, Body: "upstream: " + echo}, {Status: 500, Body: "upstream: " + echo, Commit: true},
		{Status: 200, ContentType: "text/html", Body: "<html>" + echo + "</html>"}, {Status: 200, Body: `{"access_token": "` + echo + `", "expires_in": "x"`},
		{Status: 400, Body: `{"error":"invalid_request","reason":"Bad token ` + echo + `"}`}, {Status: 400, Body: `{"error":"` + echo + `"}`},
		{Status: 401, Body: `{"error":"invalid_client","reason":"` + echo + `"}`}, {Status: 429, RetryAfter: "1", Body: `{"message":"` + echo + `"}`},
		{Status: 302, Body: echo}, {Drop: true}, {Drop: true, Commit: true}, {Truncate: true},
	}
}

func (f *flows) fault(t *testing.T, fault zoomsim.Fault) {
	t.Helper()
	if fault.Endpoint == "" {
		fault.Endpoint = zoomsim.EndpointToken
	}
	if _, err := f.Zoom.AddFault(fault); err != nil {
		t.Fatal(err)
	}
}

// documents that ask for single things, so that the fields which hand secrets out are known.
const (
	readCredential  = `query($of: CredentialSelector!, $ttl: Int) { credential(of: $of, minTTL: $ttl) { __typename ... on Credential { accessToken tokenType expiresAt apiUrl version } ... on CredentialUnavailable { code message } ... on ReauthorizationRequired { failure { reason message providerCode } } } }`
	readCredentials = `query($ids: [ID!]!) { credentials(connections: $ids) { __typename ... on Credential { accessToken tokenType } } }`
	refresh         = `mutation($id: ID!) { refreshConnection(id: $id) { connection { id state failure { class reason message providerCode } } } }`
	remove          = `mutation($id: ID!) { deleteConnection(id: $id) { deletedId } }`
)

func of(connection string) args { return args{"of": args{"connection": connection}} }

// has reads a credential and checks which member of the union it is.
func (f *flows) has(t *testing.T, typename string, selector args) {
	t.Helper()
	if a := f.as(t, readCredential, selector); string(a.outcome("credential", f.party)) != typename {
		t.Errorf("got %s, want a %s", withoutGiven(t, a.body), typename)
	}
}

// reading reads credentials that are fresh, refreshed, kept, and not to be had.
func (f *flows) reading(t *testing.T) {
	t.Helper()
	one := f.party.values["connection"]
	f.has(t, "Credential", of(one))
	f.has(t, "Credential", of(one))
	f.Clock.Advance(2 * time.Hour)
	f.has(t, "Credential", of(one)) // refreshed
	if a := f.wants(t, "", refresh, args{"id": one}); !strings.Contains(a.body, `"failure":null`) {
		t.Errorf("refreshing: got %s", a.body)
	}
	f.wants(t, "", readCredentials, args{"ids": []string{one, f.party.values["key connection"], absent("connection", one)}})
	f.has(t, "Credential", of(f.party.values["key connection"]))
	back := f.Service.Vault.Away()
	f.as(t, readCredential, of(f.party.values["key connection"]))
	f.as(t, refresh, args{"id": one})
	f.as(t, createConnection, f.codeInput(f.consent(t, f.party, f.party.word+"@example.com", nil), ""))
	back()
}
