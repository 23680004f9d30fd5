// Command tokenkeep is the service and everything around it: see tokenkeep --help.
//
// Every subcommand is a struct with its flags and a Run method, in a file of its own. What a service is made of is put
// together in wiring.go and nowhere else.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/alecthomas/kong"

	"github.com/tokenkeep/tokenkeep/internal/errs"
)

// commands are the subcommands in the order in which --help lists them.
type commands struct {
	Dev         devCmd         `cmd:"" help:"Start everything on this machine, to try it: SQLite, embedded vault, Zoom emulator, a demo tenant."`
	Serve       serveCmd       `cmd:"" help:"Serve tenants, over a database and a vault of your choice."`
	Migrate     migrateCmd     `cmd:"" help:"Bring the database's tables up to date."`
	Tenant      tenantCmd      `cmd:"" help:"Make, list and delete tenants, and rotate their keys."`
	Apikey      apikeyCmd      `cmd:"" help:"Make, list and revoke API keys."`
	App         appCmd         `cmd:"" help:"Make, list and delete OAuth apps."`
	Doctor      doctorCmd      `cmd:"" help:"Check the settings of serve and say how to mend what is wrong."`
	Verify      verifyCmd      `cmd:"" help:"Compare what database and vault hold, and mend it after a restore."`
	Vault       vaultCmd       `cmd:"" help:"Make a HashiCorp Vault ready; move everything between it and the embedded vault."`
	Hold        holdCmd        `cmd:"" help:"Decide about connections that are kept from ending because that looks like an incident."`
	Rootkey     rootkeyCmd     `cmd:"" help:"Make the key that opens the embedded vault."`
	Rekey       rekeyCmd       `cmd:"" help:"Put the embedded vault under another root key."`
	Operatorkey operatorkeyCmd `cmd:"" help:"Make the key that creates tenants."`
	Zoomsim     zoomsimCmd     `cmd:"" help:"Run the Zoom emulator by itself."`
	Version     versionCmd     `cmd:"" help:"Print the version."`
}

// description is the beginning of --help.
const description = `Tokenkeep keeps OAuth connections alive and answers GraphQL queries for them.

To try it, run "tokenkeep dev". To run it, begin with "tokenkeep serve --help".

Every flag that names an environment variable may be given either way; the flag wins. Exit codes: 0 done, 1 failed,
2 the command line was not understood.`

// Exit codes.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

// terminal is where a command reads and writes. Standard output is for results, standard error for everything else.
type terminal struct {
	in       io.Reader
	out, err io.Writer
}

func main() {
	collectLess()
	s, release := catchSignals()
	code := run(os.Args[1:], s, &terminal{in: os.Stdin, out: os.Stdout, err: os.Stderr}, os.Exit)
	release()
	os.Exit(code)
}

// run runs one command line and returns the exit code. exit is called for --help alone.
func run(args []string, s signals, t *terminal, exit func(int)) int {
	parser, err := kong.New(&commands{}, kong.Name("tokenkeep"), kong.Description(description),
		kong.Writers(t.out, t.err), kong.Exit(exit), kong.Bind(s, t),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}))
	if err != nil {
		panic(err) // the commands' tags are wrong
	}
	c, err := parser.Parse(args)
	if err != nil {
		_, _ = fmt.Fprintf(t.err, "tokenkeep: %s; \"tokenkeep --help\" tells more\n", err)
		return exitUsage
	}
	if err := c.Run(); err != nil {
		_, _ = fmt.Fprintf(t.err, "tokenkeep: %s\n", explain(err))
		return exitFailed
	}
	return exitDone
}

// explain is the text of an error for the person at the terminal. What the domain says to callers is a whole sentence
// already; the kind in front of it means nothing here.
func explain(err error) string {
	e, ok := errors.AsType[*errs.Error](err)
	if !ok || e.Kind == errs.Internal {
		return err.Error()
	}
	switch e.Kind {
	case errs.BadUserInput, errs.Conflict, errs.NotFound, errs.Forbidden, errs.Unauthenticated:
		return e.Message
	}
	if e.Cause != nil { // something is away, and whoever runs the service wants to know what
		return e.Message + ": " + e.Cause.Error()
	}
	return e.Message
}
