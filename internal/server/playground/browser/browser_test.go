// Package browser_test opens the playground in Chromium, because whether a page works under a strict
// Content-Security-Policy is known only to a browser.
//
// Mechanism: the handler and a stand-in for the API run on one loopback origin; drive.mjs does what a reader would and
// reports what it saw; the tests here judge. TOKENKEEP_TEST_SCREENSHOTS names a folder for pictures of the page.
package browser_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/tokenkeep/tokenkeep/internal/secret"
	"github.com/tokenkeep/tokenkeep/internal/server/playground"
)

// observed is the report of drive.mjs; a scenario fills the fields it has something to say about.
type observed struct {
	Violations []string `json:"violations"`
	Messages   []string `json:"messages"`
	Addresses  []string `json:"addresses"`

	Title     string             `json:"title"`
	Address   string             `json:"address"`
	Panel     bool               `json:"panel"`
	Hint      string             `json:"hint"`
	Headers   string             `json:"headers"`
	Query     string             `json:"query"`
	Variables string             `json:"variables"`
	Answer    string             `json:"answer"`
	Connected string             `json:"connected"`
	Tabs      int                `json:"tabs"`
	Consent   []string           `json:"consent"`
	Kept      string             `json:"kept"`
	Reloaded  editors            `json:"reloaded"`
	Examples  map[string]editors `json:"examples"`
}

type editors struct {
	Query     string `json:"query"`
	Variables string `json:"variables"`
}

var devValues = map[string]string{
	"app":         "app_dev",
	"redirectUri": "http://127.0.0.1:1/back",
	"consentUrl":  "http://127.0.0.1:1/oauth/authorize?client_id=demo",
	"connection":  "conn_in_variables",
}

func devOptions(string) playground.Options {
	return playground.Options{DevKey: secret.New(key), DevValues: devValues}
}

// clean wants no violation, no complaint in the console, and no request to anywhere else.
func clean(t *testing.T, seen observed, origin string) {
	t.Helper()
	if len(seen.Violations) > 0 {
		t.Errorf("violations of the policy: %q", seen.Violations)
	}
	if len(seen.Messages) > 0 {
		t.Errorf("errors or warnings in the console: %q", seen.Messages)
	}
	if len(seen.Addresses) == 0 {
		t.Error("no request was seen; the watch does not work")
	}
	for _, address := range seen.Addresses {
		if !strings.HasPrefix(address, origin+"/") && !strings.HasPrefix(address, "data:") {
			t.Errorf("a request left the origin: %s", address)
		}
	}
}

func TestDeveloperRunsExamplesByPressingPlay(t *testing.T) {
	api, origin := serve(t, devOptions)
	seen := drive(t, "dev", origin+"/playground")
	clean(t, seen, origin)

	if seen.Title != "Tokenkeep Playground" {
		t.Errorf("title = %q", seen.Title)
	}
	if !strings.Contains(seen.Headers, `"Authorization": "Bearer `+key+`"`) {
		t.Errorf("the headers editor shows %q", seen.Headers)
	}
	if !strings.Contains(seen.Answer, "answered") || !strings.Contains(seen.Connected, "answered") {
		t.Errorf("answers shown: %q, %q", seen.Answer, seen.Connected)
	}
	if !reflect.DeepEqual(seen.Consent, []string{devValues["consentUrl"]}) {
		t.Errorf("links to the consent page: %q", seen.Consent)
	}
	checkExamples(t, seen)
	checkCalls(t, api.asked())
	checkKept(t, seen)
}

// checkExamples wants every example in the editors as Go fills it, each in a tab of its own.
func checkExamples(t *testing.T, seen observed) {
	t.Helper()
	all := playground.Examples()
	if len(seen.Examples) != len(all) || seen.Tabs != len(all) {
		t.Errorf("got %d examples in %d tabs, want %d", len(seen.Examples), seen.Tabs, len(all))
	}
	for _, example := range all {
		got := seen.Examples[example.Name]
		if got.Query != strings.TrimSpace(example.Query) {
			t.Errorf("%s: the query editor shows %q", example.Name, got.Query)
		}
		if want := example.Fill(devValues); !sameJSON(t, got.Variables, want) {
			t.Errorf("%s: the variables editor shows %s, want %v", example.Name, got.Variables, want)
		}
	}
}

func sameJSON(t *testing.T, got string, want map[string]any) bool {
	t.Helper()
	if got == "" || want == nil {
		return got == "" && want == nil
	}
	var decoded map[string]any
	return json.Unmarshal([]byte(got), &decoded) == nil && reflect.DeepEqual(decoded, want)
}

func checkCalls(t *testing.T, calls []call) {
	t.Helper()
	if len(calls) != 2 {
		t.Fatalf("got %d operations, want 2: %v", len(calls), calls)
	}
	if !strings.Contains(calls[0].Query, "viewer") || !strings.Contains(calls[1].Query, "createConnection") {
		t.Errorf("got operations %q and %q", calls[0].Query, calls[1].Query)
	}
	input, _ := calls[1].Variables["input"].(map[string]any)
	if input["app"] != devValues["app"] {
		t.Errorf("createConnection was sent with %v", calls[1].Variables)
	}
}

// checkKept wants the open queries to survive a reload, and no variable, key or answer to outlive the page.
func checkKept(t *testing.T, seen observed) {
	t.Helper()
	if !strings.Contains(seen.Kept, "ConnectAccount") {
		t.Errorf("the open queries are not kept: %s", seen.Kept)
	}
	for _, secret := range []string{key, devValues["connection"], "Authorization", "answered"} {
		if strings.Contains(seen.Kept, secret) {
			t.Errorf("the browser keeps %q", secret)
		}
	}
	if want := seen.Examples["connect-account"]; seen.Reloaded != want {
		t.Errorf("after a reload: %v, want %v", seen.Reloaded, want)
	}
}

func TestReaderTypesAKeyOnceForAllTabs(t *testing.T) {
	api, origin := serve(t, func(string) playground.Options { return playground.Options{} })
	seen := drive(t, "production", origin+"/playground/")
	clean(t, seen, origin)
	if !seen.Panel {
		t.Error("the examples are not shown at first")
	}
	if !strings.Contains(seen.Hint, "Bearer <your key>") {
		t.Errorf("the headers editor begins with %q", seen.Hint)
	}
	if !strings.Contains(seen.Headers, key) || !strings.Contains(seen.Answer, "answered") || len(api.asked()) != 1 {
		t.Errorf("second tab: headers %q, answer %q, %d operations", seen.Headers, seen.Answer, len(api.asked()))
	}
	if strings.Contains(seen.Kept, key) {
		t.Error("the browser keeps the key")
	}
}

func TestReturnedCodeIsFilledInAndLeavesTheAddress(t *testing.T) {
	_, origin := serve(t, func(origin string) playground.Options {
		return playground.Options{DevKey: secret.New(key), DevValues: map[string]string{"redirectUri": origin + "/playground"}}
	})
	seen := drive(t, "returned", origin+"/playground")
	clean(t, seen, origin)
	if seen.Address != origin+"/playground" {
		t.Errorf("the address is %s", seen.Address)
	}
	if !strings.Contains(seen.Query, "ConnectAccount") || !strings.Contains(seen.Variables, `"code": "code_from_consent"`) {
		t.Errorf("the editors show %q and %q", seen.Query, seen.Variables)
	}
}
