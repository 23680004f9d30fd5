package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// versionCmd is "tokenkeep version".
type versionCmd struct{}

// Run prints what the Go tool wrote into the binary.
func (versionCmd) Run(t *terminal) error {
	_, err := fmt.Fprintln(t.out, "tokenkeep", version())
	return err
}

// version is the module's version, the commit where there is one, and the compiler's version.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown " + runtime.Version()
	}
	text := info.Main.Version
	if text == "" {
		text = "(devel)"
	}
	settings := map[string]string{}
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	if commit := settings["vcs.revision"]; commit != "" {
		text += " commit " + commit
		if settings["vcs.modified"] == "true" {
			text += " (changed)"
		}
	}
	return text + " " + info.GoVersion
}
