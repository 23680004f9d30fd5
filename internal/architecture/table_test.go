package architecture_test

// pkg says what a package may do. The zero value may use the standard library and any module but ours.
type pkg struct {
	// imports are our packages it may import, as paths below the module; "ent/..." stands for ent and all below it.
	imports []string
	// anything lifts the restriction on imports: only the wiring and the test kit have it.
	anything bool
	// external, where not nil, are the only modules outside the standard library that it may use, as path prefixes.
	external []string
	// process says why the package may read the environment and end the process. Empty: it may not.
	process string
	// reveals says why the package lets a secret leave its type (secret.Text.Reveal). Empty: it may not.
	reveals string
	// never are names it may not use, as "import/path.Name", where an import alone is harmless.
	never []string
}

// standardLibrary is the value of pkg.external that allows no other module.
var standardLibrary = []string{}

// httpClients are the ways to call out over HTTP.
var httpClients = []string{
	"net/http.Client", "net/http.DefaultClient", "net/http.DefaultTransport", "net/http.Transport", "net/http.Get",
	"net/http.Head", "net/http.Post", "net/http.PostForm", "net/http.NewRequest", "net/http.NewRequestWithContext",
}

// packages is the layout: who may import whom among our packages. The exact path wins over a "/..." entry, and the
// longer "/..." entry over the shorter. To add a package, add a line; to open a door, change one.
var packages = map[string]pkg{
	// Leaves.
	"internal/tenant":   {external: []string{"github.com/google/uuid"}},
	"internal/errs":     {external: standardLibrary},
	"internal/secret":   {external: standardLibrary},
	"internal/id":       {external: []string{"github.com/google/uuid", "go.jetify.com/typeid"}},
	"internal/metadata": {imports: []string{"internal/errs"}, external: standardLibrary},

	// Data access: the schema and its rules know the caller and nothing of what is done with the rows.
	"ent/schema": {imports: []string{"ent", "ent/hook", "ent/intercept", "ent/privacy", "ent/rule", "internal/id", "internal/tenant"}},
	"ent/rule":   {imports: []string{"ent/...", "internal/errs", "internal/tenant"}},
	"ent/...":    {imports: []string{"ent/...", "internal/id", "internal/tenant"}},

	"internal/database": {imports: []string{"ent/...", "internal/errs", "internal/tenant"}},

	// The outside world: providers, their protocol, the store.
	"internal/provider": {imports: []string{"internal/errs", "internal/secret"}},
	"internal/outbound": {external: []string{}},
	"internal/oauth": {
		imports: []string{"internal/provider", "internal/errs", "internal/secret"},
		reveals: "puts codes, tokens and client secrets on the wire",
	},
	"internal/zoom": {
		imports: []string{"internal/errs", "internal/secret"},
		reveals: "puts access tokens on the wire and checks webhook signatures",
	},
	"internal/vault": {
		imports: []string{"internal/tenant", "internal/secret", "internal/errs"},
		reveals: "seals",
	},
	"internal/vault/embedded": {
		imports: []string{"internal/vault", "internal/tenant", "internal/secret", "internal/errs"},
		reveals: "wraps data keys and reads the root key",
	},
	"internal/vault/hashicorp": {
		imports: []string{"internal/vault", "internal/tenant", "internal/secret", "internal/errs"},
		reveals: "wraps data keys and reads the store's own token",
	},
	"internal/vault/hashicorp/setup": {imports: []string{}},
	"internal/vault/moving":          {imports: []string{"internal/vault", "internal/secret"}},
	"internal/vault/vaulttest": {
		imports: []string{"internal/vault", "internal/tenant", "internal/secret", "internal/errs"},
		reveals: "compares what comes out of a store with what went in; imported by tests only",
		process: "a test is repeated by its seed",
	},
	"internal/vault/vaulttest/server": {
		imports: []string{},
		process: "builds and runs a Vault server; imported by tests, and by the bench, which measures against a real one",
	},

	"internal/postgrestest": {
		imports: []string{},
		process: "runs a PostgreSQL server for tests; imported by tests and tools only",
	},

	// The domain.
	"internal/hold": {imports: []string{"ent/...", "internal/database", "internal/audit", "internal/id", "internal/tenant", "internal/errs"}},
	"internal/grant": {
		imports: []string{"ent/...", "internal/database", "internal/vault", "internal/oauth", "internal/provider", "internal/hold", "internal/audit", "internal/event", "internal/metadata", "internal/id", "internal/tenant", "internal/errs", "internal/secret"},
		reveals: "the only code that spends, stores or revokes a token",
	},
	// The model of the protocol: files of tests only.
	"internal/grant/model": {imports: []string{"internal/grant", "internal/oauth", "internal/provider"}, process: "how deep it goes is asked for by hand"},
	"internal/connection": {
		imports: []string{"ent/...", "internal/database", "internal/grant", "internal/hold", "internal/oauth", "internal/vault", "internal/zoom", "internal/provider", "internal/app", "internal/audit", "internal/event", "internal/metadata", "internal/id", "internal/tenant", "internal/errs", "internal/secret"},
		reveals: "hands out credentials",
	},
	"internal/app": {
		imports: []string{"ent/...", "internal/database", "internal/vault", "internal/oauth", "internal/provider", "internal/audit", "internal/event", "internal/metadata", "internal/id", "internal/tenant", "internal/errs", "internal/secret"},
		reveals: "checks the form of client secrets before they are sealed",
	},
	"internal/rewrap":   {imports: []string{"internal/database", "internal/vault", "internal/vault/moving", "internal/id", "internal/tenant"}},
	"internal/deletion": {imports: []string{"ent/...", "internal/database", "internal/vault", "internal/audit", "internal/id", "internal/tenant", "internal/errs"}},
	"internal/tenancy": {
		imports: []string{"ent/...", "internal/database", "internal/rewrap", "internal/deletion", "internal/vault", "internal/oauth", "internal/audit", "internal/event", "internal/metadata", "internal/id", "internal/tenant", "internal/errs", "internal/secret"},
		reveals: "computes the hash of an API key",
	},
	"internal/refresh":   {imports: []string{"internal/connection", "internal/tenant"}},
	"internal/authorize": {imports: []string{"ent/...", "internal/database", "internal/vault", "internal/oauth", "internal/connection", "internal/id", "internal/tenant", "internal/errs", "internal/secret"}},
	"internal/inbound":   {imports: []string{"ent/...", "internal/database", "internal/zoom", "internal/connection", "internal/id", "internal/tenant", "internal/errs"}},
	"internal/verify":    {imports: []string{"ent/...", "internal/database", "internal/vault", "internal/grant", "internal/connection", "internal/id", "internal/tenant", "internal/errs"}},
	"internal/event":     {imports: []string{"ent/...", "internal/database", "internal/id", "internal/tenant", "internal/errs"}},
	"internal/audit":     {imports: []string{"ent/...", "internal/database", "internal/id", "internal/tenant", "internal/errs"}},

	// The surface.
	"graph":       {imports: surface, never: httpClients, reveals: "writes credentials and new API keys into the response"},
	"graph/...":   {imports: surface, never: httpClients},
	"graph/model": {imports: append([]string{"internal/secret"}, surface...), never: httpClients, reveals: "marshals credentials into the response"},
	"internal/server": {
		imports: append([]string{"internal/server/playground", "internal/database", "internal/refresh", "internal/authorize", "internal/inbound", "internal/vault"}, surface...),
		reveals: "reads the key of a request",
	},
	"internal/server/playground": {
		imports: []string{"internal/secret"},
		reveals: "fills in the demo key of dev",
	},

	// Browser tests of the Playground: files of tests only.
	"internal/server/playground/...": {},

	// The emulator stands for somebody else's server, so it shares nothing with ours.
	"internal/zoomsim": {external: standardLibrary},

	// Wiring and tools.
	"cmd/...":               {anything: true, process: "main", reveals: "reads root and operator keys, prints new keys"},
	"internal/bench":        {anything: true, process: "main"},
	"internal/torture":      {anything: true, process: "main"},
	"internal/servicetest":  {anything: true, process: "test kit", reveals: "test kit"},
	"internal/architecture": {},
	// Tests only: against servers that others wrote, whoever crosses the lines between tenants, and a Vault that is away.
	"internal/interop":   {},
	"internal/isolation": {},
	"internal/realvault": {},
}

// surface is what the GraphQL layer may use: rows under privacy for reads, the domain packages for everything else.
var surface = []string{
	"graph/...", "ent/...", "internal/connection", "internal/app", "internal/tenancy", "internal/hold", "internal/audit", "internal/event", "internal/metadata",
	"internal/provider", "internal/id", "internal/tenant", "internal/errs", "internal/secret",
}

// systemCallers are the functions that may act as the service itself, across tenants (tenant.System), each with its
// reason. The key is "package: Function", "package: Type.Method", or "package: Type" for a loop whose every method does.
var systemCallers = map[string]string{
	"internal/app: everybody":                    "counts the connections of all tenants that keep a shared app; only the number is seen",
	"internal/connection: domain.Superseded":     "a consent ends older grants of the same user in other tenants too, and each is told in its own tenant",
	"internal/connection: domain.settleConsents": "asks whether any tenant holds a newer consent of a rebuilt connection's user; only yes or no is seen",
	"internal/connection: domain.blameApp":       "flags an app that may be shared, and so no tenant's",
	"internal/connection: domain.clearApp":       "takes the blame off an app that may be shared",
	"internal/connection: domain.pauseApp":       "pauses an app that may be shared",
	"internal/connection: Service.RefreshDue":    "renews ahead of need what nobody asked for, in the tenant of the row that was claimed",
	"internal/connection: Service.Standing":      "counts paused apps of all tenants; only the number is seen",
	"internal/deletion: Service":                 "ends a tenant, in which nobody may act any more",
	"internal/grant: finishing.reject":           "asks whether this client and user are connected elsewhere; only yes or no is seen",
	"internal/grant: spend.exchangeInFlight":     "asks whether any tenant is exchanging a code for this client id; only yes or no is seen",
	"internal/grant: Keeper.newerGrant":          "asks whether any tenant holds a newer grant of this client and user, which a revocation would end too",
	"internal/grant: Keeper.sentElsewhere":       "asks whether any tenant has sent this very code; only yes or no is seen",
	"internal/grant: Sweeper":                    "finishes what was left, for every tenant; nobody calls it",
	"internal/hold: system":                      "holds are about all tenants, counters too, and only an operator is shown them",
	"internal/servicetest: Service":              "tests look at rows and locks that no caller sees",
	"internal/servicetest: Tenant.System":        "tests act as the service itself would",
	"internal/tenancy: Service.used":             "notes the use of a key after the request that used it; sees the key's tenant only",
}
