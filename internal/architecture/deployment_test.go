package architecture_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"

	"github.com/tokenkeep/tokenkeep/internal/vault/hashicorp/setup"
)

// settings are the variables that "tokenkeep serve", "migrate" and "vault init" know.
var settings = []string{
	"TOKENKEEP_LISTEN", "TOKENKEEP_METRICS_LISTEN", "TOKENKEEP_PUBLIC_URL", "TOKENKEEP_DATABASE_URL", "TOKENKEEP_VAULT",
	"TOKENKEEP_VAULT_FILE", "TOKENKEEP_VAULT_TRANSIT_MOUNT", "TOKENKEEP_VAULT_KV_MOUNT", "TOKENKEEP_ROOT_KEY_FILE",
	"TOKENKEEP_OPERATOR_KEY_FILE", "TOKENKEEP_PROVIDERS_FILE", "TOKENKEEP_VAULT_ROLE_ID", "TOKENKEEP_VAULT_SECRET_ID_FILE",
	"TOKENKEEP_VAULT_KEYS_ROLE_ID", "TOKENKEEP_VAULT_KEYS_SECRET_ID_FILE", "TOKENKEEP_VAULT_UNSEAL_KEY_FILE", "TOKENKEEP_VAULT_LOGIN_DIR",
}

const (
	root        = "../.."
	composeFile = root + "/docker-compose.yml"
)

// pinned is an image with a version: a number after the colon, and not only a major one.
var pinned = regexp.MustCompile(`^[a-z/]+:\d+\.\d+[a-z0-9.-]*$`)

// compose reads the file as Docker Compose would, schema and consistency checks included.
func compose(t *testing.T, env ...string) (*types.Project, error) {
	t.Helper()
	options, err := cli.NewProjectOptions([]string{composeFile}, cli.WithEnv(env), cli.WithProfiles([]string{"*"}))
	if err != nil {
		t.Fatalf("preparing: %v", err)
	}
	return options.LoadProject(t.Context())
}

func project(t *testing.T) *types.Project {
	t.Helper()
	p, err := compose(t, "POSTGRES_PASSWORD=fromthetest")
	if err != nil {
		t.Fatalf("loading docker-compose.yml: %v", err)
	}
	return p
}

func TestComposeHasItsServices(t *testing.T) {
	p := project(t)
	want := []string{"migrate", "postgres", "tokenkeep", "vault", "vault-init"}
	got := p.ServiceNames()
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("got services %v, want %v", got, want)
	}
	for name, s := range p.Services {
		if len(s.Profiles) != 0 {
			t.Errorf("%s is behind the profiles %v, want it to start with the others", name, s.Profiles)
		}
		if s.Build == nil && !pinned.MatchString(s.Image) {
			t.Errorf("%s runs %s, want an image with its version", name, s.Image)
		}
	}
}

func TestComposeNeedsAPassword(t *testing.T) {
	if _, err := compose(t); err == nil || !strings.Contains(err.Error(), "POSTGRES_PASSWORD") {
		t.Errorf("got %v without a password, want an error that names POSTGRES_PASSWORD", err)
	}
	text, err := os.ReadFile(composeFile)
	if err != nil {
		t.Fatal(err)
	}
	if found := regexp.MustCompile(`\$\{[A-Z_]*(PASSWORD|KEY|TOKEN|SECRET):?-`).Find(text); found != nil {
		t.Errorf("%s...: a secret has a default", found)
	}
}

func TestComposeGivesAwayNoPrivilege(t *testing.T) {
	for name, s := range project(t).Services {
		if s.Privileged || len(s.CapAdd) != 0 || s.NetworkMode != "" || s.Pid != "" {
			t.Errorf("%s has more than a container's rights", name)
		}
		for _, port := range s.Ports {
			if port.HostIP != "127.0.0.1" {
				t.Errorf("%s publishes port %s on %q, want loopback", name, port.Published, port.HostIP)
			}
		}
		for _, v := range s.Volumes {
			if v.Type != types.VolumeTypeVolume {
				t.Errorf("%s mounts %s from the host", name, v.Source)
			}
		}
		if s.Build == nil {
			continue
		}
		if s.User != "65532:65532" || !s.ReadOnly || !slices.Equal(s.CapDrop, []string{"ALL"}) || !slices.Contains(s.SecurityOpt, "no-new-privileges:true") {
			t.Errorf("%s runs as %q, read-only %t, dropping %v, with %v", name, s.User, s.ReadOnly, s.CapDrop, s.SecurityOpt)
		}
	}
}

func TestComposeKnowsWhenAServiceIsReady(t *testing.T) {
	p := project(t)
	for name, s := range p.Services {
		if once := slices.Contains(once, name); once == (s.HealthCheck != nil) {
			t.Errorf("%s: got a health check %t, want %t", name, s.HealthCheck != nil, !once)
		}
		for on, dependency := range s.DependsOn {
			want := types.ServiceConditionHealthy
			if slices.Contains(once, on) {
				want = types.ServiceConditionCompletedSuccessfully
			}
			if dependency.Condition != want {
				t.Errorf("%s waits for %s to be %s, want %s", name, on, dependency.Condition, want)
			}
		}
	}
	if d := p.Services["tokenkeep"].DependsOn; len(d) != 3 {
		t.Errorf("tokenkeep waits for %v, want the database, its migrations and the vault's set-up", d)
	}
}

// once are the services that do something and end.
var once = []string{"migrate", "vault-init"}

// TestComposeKeepsTheUnsealKeyApart: who serves does not see the key that unseals, and cannot change its own login.
func TestComposeKeepsTheUnsealKeyApart(t *testing.T) {
	p := project(t)
	for name, s := range p.Services {
		for _, v := range s.Volumes {
			switch {
			case v.Source == "vault-key" && name != "vault-init":
				t.Errorf("%s mounts the unseal key", name)
			case v.Source == "vault-login" && name != "vault-init" && (name != "tokenkeep" || !v.ReadOnly):
				t.Errorf("%s mounts the logins, read-only %t", name, v.ReadOnly)
			}
		}
	}
	mounted := map[string]string{}
	for _, v := range p.Services["vault-init"].Volumes {
		mounted[v.Source] = v.Target
	}
	init, serve := p.Services["vault-init"].Environment, p.Services["tokenkeep"].Environment
	if init["TOKENKEEP_VAULT_UNSEAL_KEY_FILE"] == nil || !strings.HasPrefix(*init["TOKENKEEP_VAULT_UNSEAL_KEY_FILE"], mounted["vault-key"]+"/") {
		t.Errorf("the unseal key goes to %v, outside of its volume at %s", init["TOKENKEEP_VAULT_UNSEAL_KEY_FILE"], mounted["vault-key"])
	}
	login := mounted["vault-login"]
	if dir := init["TOKENKEEP_VAULT_LOGIN_DIR"]; dir == nil || *dir != login {
		t.Errorf("the logins go to %v, not to their volume at %s", dir, login)
	}
	for variable, want := range map[string]string{
		"TOKENKEEP_VAULT_ROLE_ID": setup.ServiceRole, "TOKENKEEP_VAULT_SECRET_ID_FILE": login + "/" + setup.ServiceSecretID,
		"TOKENKEEP_VAULT_KEYS_ROLE_ID": setup.KeysRole, "TOKENKEEP_VAULT_KEYS_SECRET_ID_FILE": login + "/" + setup.KeysSecretID,
	} {
		if got := serve[variable]; got == nil || *got != want {
			t.Errorf("%s: got %v, want %s", variable, got, want)
		}
	}
}

func TestComposeSettingsAreKnown(t *testing.T) {
	p := project(t)
	for name, s := range p.Services {
		for variable := range s.Environment {
			if strings.HasPrefix(variable, "TOKENKEEP_") && !slices.Contains(settings, variable) {
				t.Errorf("%s sets %s, which the service does not know", name, variable)
			}
		}
	}
	env := p.Services["tokenkeep"].Environment
	for variable, want := range map[string]string{
		"TOKENKEEP_VAULT": "hashicorp", "VAULT_ADDR": "http://vault:8200", "TOKENKEEP_LISTEN": "0.0.0.0:8080", "TOKENKEEP_PUBLIC_URL": "http://localhost:8080",
		"TOKENKEEP_DATABASE_URL": "postgres://tokenkeep:fromthetest@postgres:5432/tokenkeep?sslmode=disable",
	} {
		if got := env[variable]; got == nil || *got != want {
			t.Errorf("%s: got %v, want %s", variable, got, want)
		}
	}
}

func TestComposeSecretsAreFiles(t *testing.T) {
	p := project(t)
	s := p.Services["tokenkeep"]
	var mounted []string
	for _, used := range s.Secrets {
		if p.Secrets[used.Source].File == "" {
			t.Errorf("secret %s has no file", used.Source)
		}
		mounted = append(mounted, "/run/secrets/"+used.Source)
	}
	for _, variable := range []string{"TOKENKEEP_OPERATOR_KEY_FILE"} {
		if path := s.Environment[variable]; path == nil || !slices.Contains(mounted, *path) {
			t.Errorf("%s is none of the mounted secrets %v", variable, mounted)
		}
	}
	for name := range p.Services {
		if used := p.Services[name].Secrets; name != "tokenkeep" && len(used) != 0 {
			t.Errorf("%s sees secrets, want none", name)
		}
	}
	ignored, err := os.ReadFile(root + "/.dockerignore")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"secrets", ".env", ".git"} {
		if !slices.Contains(strings.Split(string(ignored), "\n"), name) {
			t.Errorf(".dockerignore lets %s into the image's build", name)
		}
	}
}

func TestImageIsPinnedAndNotRoot(t *testing.T) {
	dockerfile, err := os.ReadFile(root + "/Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	gomod, err := os.ReadFile(root + "/go.mod")
	if err != nil {
		t.Fatal(err)
	}
	version := regexp.MustCompile(`(?m)^go (\S+)$`).FindStringSubmatch(string(gomod))
	if version == nil || !strings.Contains(string(dockerfile), "FROM golang:"+version[1]+"-bookworm AS build") {
		t.Errorf("the image is not built with Go %v of go.mod", version)
	}
	stages := strings.Split(string(dockerfile), "\nFROM ")[1:]
	folders := regexp.MustCompile(`install -d -o 65532 -g 65532 -m 0700 (.*)`).FindStringSubmatch(string(dockerfile))
	for _, service := range project(t).Services {
		for _, v := range service.Volumes {
			if service.Build != nil && (folders == nil || !slices.Contains(strings.Fields(folders[1]), strings.Replace(v.Target, "/var/lib", "/out/lib", 1))) {
				t.Errorf("%s mounts a volume at %s, which the image does not make, so that root would own it", service.Name, v.Target)
			}
		}
	}
	for _, stage := range stages {
		if image := strings.Fields(stage)[0]; !pinned.MatchString(image) {
			t.Errorf("the image rests on %s, want a version", image)
		}
	}
	last := stages[len(stages)-1]
	for _, want := range []string{
		"USER 65532:65532", "VOLUME /var/lib/tokenkeep", `ENTRYPOINT ["tokenkeep"]`, `CMD ["serve"]`,
	} {
		if !slices.Contains(strings.Split(last, "\n"), want) {
			t.Errorf("the image's last stage has no line %s", want)
		}
	}
}
