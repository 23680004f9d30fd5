package architecture_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

// settings are the variables that "tokenkeep serve" and "tokenkeep migrate" know.
var settings = []string{
	"TOKENKEEP_LISTEN", "TOKENKEEP_METRICS_LISTEN", "TOKENKEEP_PUBLIC_URL", "TOKENKEEP_DATABASE_URL", "TOKENKEEP_VAULT",
	"TOKENKEEP_VAULT_FILE", "TOKENKEEP_VAULT_TRANSIT_MOUNT", "TOKENKEEP_VAULT_KV_MOUNT", "TOKENKEEP_ROOT_KEY_FILE",
	"TOKENKEEP_OPERATOR_KEY_FILE", "TOKENKEEP_PROVIDERS_FILE",
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
	want := []string{"migrate", "postgres", "tokenkeep", "vault"}
	got := p.ServiceNames()
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("got services %v, want %v", got, want)
	}
	for name, s := range p.Services {
		if optional := slices.Equal(s.Profiles, []string{"vault"}); optional != (name == "vault") || !optional && len(s.Profiles) != 0 {
			t.Errorf("%s has profiles %v; only vault is behind one", name, s.Profiles)
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
		if once := name == "migrate"; once == (s.HealthCheck != nil) {
			t.Errorf("%s: got a health check %t, want %t", name, s.HealthCheck != nil, !once)
		}
		for on, dependency := range s.DependsOn {
			want := types.ServiceConditionHealthy
			if on == "migrate" {
				want = types.ServiceConditionCompletedSuccessfully
			}
			if dependency.Condition != want {
				t.Errorf("%s waits for %s to be %s, want %s", name, on, dependency.Condition, want)
			}
		}
	}
	if d := p.Services["tokenkeep"].DependsOn; len(d) != 2 {
		t.Errorf("tokenkeep waits for %v, want the database and its migrations", d)
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
		"TOKENKEEP_VAULT": "embedded", "TOKENKEEP_LISTEN": "0.0.0.0:8080", "TOKENKEEP_PUBLIC_URL": "http://localhost:8080",
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
	for _, variable := range []string{"TOKENKEEP_ROOT_KEY_FILE", "TOKENKEEP_OPERATOR_KEY_FILE"} {
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
