package read_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"entgo.io/ent/dialect"
	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/ent/connection"
	"github.com/tokenkeep/tokenkeep/internal/database"
	"github.com/tokenkeep/tokenkeep/internal/id"
	"github.com/tokenkeep/tokenkeep/internal/metadata"
	"github.com/tokenkeep/tokenkeep/internal/tenant"
)

// epoch is when the first connection of a data set was made.
var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// as is a context in which a tenant calls, holding all scopes unless some are given.
func as(ctx context.Context, u uuid.UUID, scopes ...tenant.Scope) context.Context {
	if len(scopes) == 0 {
		scopes = []tenant.Scope{tenant.TenantAdmin}
	}
	return tenant.NewContext(ctx, &tenant.Viewer{Tenant: u, KeyID: id.New(), Scopes: scopes})
}

// v7 is the n-th UUIDv7 of a millisecond.
func v7(t time.Time, n uint16, random *rand.Rand) uuid.UUID {
	var u uuid.UUID
	ms := uint64(t.UnixMilli()) //nolint:gosec // after 1970
	for i := range 6 {
		u[i] = byte(ms >> (40 - 8*i))
	}
	u[6], u[7], u[8] = 0x70|byte(n>>8)&0x0f, byte(n), 0x80
	for i := 9; i < len(u); i++ {
		u[i] = byte(random.Uint32())
	}
	return u
}

// world is two tenants with connections, and the same in memory.
type world struct {
	client *ent.Client
	mine   uuid.UUID
	apps   []uuid.UUID
	rows   []*ent.Connection
}

// newWorld fills a database. Of n connections of each tenant most have the pair all=yes; other values are drawn from so
// few that filters meet.
//
// PostgreSQL gets its statistics at once, which otherwise come within a minute; SQLite has none in production either.
func newWorld(t *testing.T, db *database.DB, seed uint64, n int) *world {
	t.Helper()
	t.Logf("the data's seed is %d", seed)
	client := db.Ent
	w := &world{client: client, mine: id.New()}
	random := rand.New(rand.NewPCG(seed, seed))
	w.apps, w.rows = fill(t, client, w.mine, random, n)
	fill(t, client, id.New(), random, n)
	if db.Dialect == dialect.Postgres {
		if _, err := db.SQL().ExecContext(t.Context(), "ANALYZE"); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

func fill(t *testing.T, client *ent.Client, u uuid.UUID, random *rand.Rand, n int) ([]uuid.UUID, []*ent.Connection) {
	t.Helper()
	ctx := as(t.Context(), u)
	var apps []uuid.UUID
	for i := range 2 {
		a, err := client.OAuthApp.Create().SetProvider("zoom").SetName("app").SetClientID(fmt.Sprint("client", i)).
			SetRedirectUris(nil).SetReturnTo(nil).SetScopes([]string{"a", "b"}).Save(ctx)
		if err != nil {
			t.Fatal(err)
		}
		apps = append(apps, a.ID)
	}
	var rows []*ent.Connection
	for start := 0; start < n; start += 200 {
		var batch []*ent.ConnectionCreate
		for i := start; i < min(start+200, n); i++ {
			batch = append(batch, draw(client, apps, random, i))
		}
		saved, err := client.Connection.CreateBulk(batch...).Save(ctx)
		if err != nil {
			t.Fatal(err)
		}
		index(ctx, t, client, saved)
		rows = append(rows, saved...)
	}
	return apps, rows
}

// draw makes up the i-th connection. Two each are made in the same millisecond, many changed in the same second.
func draw(client *ent.Client, apps []uuid.UUID, random *rand.Rand, i int) *ent.ConnectionCreate {
	made := epoch.Add(time.Duration(i/2) * time.Second)
	c := client.Connection.Create().SetID(v7(made, uint16(i), random)).SetCreatedAt(made). //nolint:gosec // small
												SetUpdatedAt(epoch.Add(time.Duration(random.IntN(50)) * time.Hour).Add(time.Duration(random.IntN(3)) * 100 * time.Millisecond)).
												SetAppID(apps[random.IntN(2)]).SetProvider("zoom").SetClientID("client").SetGrantKey("g").
												SetKind(pick(random, connection.KindUSER, connection.KindUSER, connection.KindINSTALLATION)).
												SetGrantType(pick(random, connection.GrantTypeAUTHORIZATION_CODE, connection.GrantTypeAPI_KEY)).
												SetState(pick(random, connection.StateCONNECTED, connection.StateCONNECTED, connection.StateCONNECTED, connection.StatePENDING, connection.StateDISCONNECTED)).
												SetSubject(fmt.Sprint("subject", random.IntN(20))).SetExternalUserID(fmt.Sprint("user", i)).
												SetExternalAccountID(fmt.Sprint("account", random.IntN(5))).SetExternalEmail(fmt.Sprint(random.IntN(100), "@example.com")).
												SetScopes([]string{"a"}).SetConsentedAt(made)
	if random.IntN(4) == 0 {
		c.SetFailureClass("PROVIDER_UNAVAILABLE")
	} else if random.IntN(4) == 0 {
		c.SetFailureClass("")
	}
	return c.SetMetadata(drawMetadata(random))
}

func drawMetadata(random *rand.Rand) map[string]string {
	m := map[string]string{}
	if random.IntN(10) > 0 {
		m["all"] = "yes"
	}
	for _, key := range []string{"plan", "region", "Übung"} {
		if random.IntN(2) == 0 {
			m[key] = fmt.Sprint(random.IntN(3))
		}
	}
	return m
}

func pick[T any](random *rand.Rand, from ...T) T { return from[random.IntN(len(from))] }

// index writes the side table as the domain does.
func index(ctx context.Context, t *testing.T, client *ent.Client, rows []*ent.Connection) {
	t.Helper()
	var all []*ent.ConnectionMetadataCreate
	for _, c := range rows {
		for key, value := range c.Metadata {
			k, p := metadata.Digests(key, value)
			all = append(all, client.ConnectionMetadata.Create().SetConnectionID(c.ID).SetKeyDigest(k).SetPairDigest(p))
		}
	}
	if err := client.ConnectionMetadata.CreateBulk(all...).Exec(ctx); err != nil {
		t.Fatal(err)
	}
}
