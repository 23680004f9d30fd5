package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"entgo.io/ent/dialect"
	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/ent/connection"
	"github.com/tokenkeep/tokenkeep/internal/database"
	"github.com/tokenkeep/tokenkeep/internal/grant"
	"github.com/tokenkeep/tokenkeep/internal/id"
	"github.com/tokenkeep/tokenkeep/internal/metadata"
	"github.com/tokenkeep/tokenkeep/internal/tenant"
)

// perRegion is how many connections share a value of the rare key.
const perRegion = 100

// account is the metadata of one connection of the data set, with a key of each sort.
type account struct{ user, plan, region, support string }

// accounts are the n accounts of the data set: the same in every run.
func accounts(n int) []account {
	dice := rand.New(rand.NewPCG(1, uint64(n))) // #nosec G404 -- test data
	out := make([]account, n)
	for i := range out {
		out[i] = account{
			user:    fmt.Sprintf("u-%07d", i),                        // unique
			plan:    plan(dice.IntN(10)),                             // common: three values
			region:  fmt.Sprintf("r-%05d", dice.IntN(n/perRegion+1)), // rare: about perRegion connections each
			support: "community",
		}
		if out[i].plan == "enterprise" { // correlated: says no more than plan does
			out[i].support = "contract"
		}
	}
	return out
}

// plan is "free" for six in ten, "team" for three and "enterprise" for one.
func plan(of10 int) string {
	switch {
	case of10 < 6:
		return "free"
	case of10 < 9:
		return "team"
	default:
		return "enterprise"
	}
}

func (a account) metadata() map[string]string {
	return map[string]string{"user": a.user, "plan": a.plan, "region": a.region, "support": a.support}
}

// owner is to whom the data set belongs.
type owner struct {
	tenant, app uuid.UUID
	clientID    string
}

// batch is how many connections one transaction inserts: a statement takes 65,535 values on PostgreSQL and 32,766 on
// SQLite, and a connection has about forty.
const batch = 500

// steps is how many insertions are worth a line.
const steps = 20_000

// fill writes the data set past the API: nobody could consent so often. What it leaves out are the tokens; lists never
// touch them.
func fill(ctx context.Context, url string, o owner, all []account, progress io.Writer) (err error) {
	db, err := database.Open(ctx, url, database.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	ctx = tenant.NewContext(ctx, &tenant.Viewer{Tenant: o.tenant, Scopes: tenant.Scopes()})
	started := time.Now()
	done := 0
	for part := range slices.Chunk(all, batch) {
		if err := db.Tx(ctx, func(ctx context.Context, tx *ent.Tx) error { return insert(ctx, tx, o, part) }); err != nil {
			return fmt.Errorf("filling the database: %w", err)
		}
		done += len(part)
		if done == len(all) || done%steps < batch {
			tell(progress, "%d of %d connections inserted, %s\n", done, len(all), time.Since(started).Round(time.Second))
		}
	}
	if db.Dialect == dialect.Postgres { // as its own autovacuum does within a minute
		_, err = db.SQL().ExecContext(ctx, "ANALYZE")
	}
	return err
}

// insert writes connections and the index of their metadata, as package connection does for one.
func insert(ctx context.Context, tx *ent.Tx, o owner, part []account) error {
	rows := make([]*ent.ConnectionCreate, len(part))
	var index []*ent.ConnectionMetadataCreate
	for i, a := range part {
		connectionID := id.New()
		rows[i] = connectionOf(tx, connectionID, o, a)
		for _, key := range slices.Sorted(maps.Keys(a.metadata())) {
			keyDigest, pairDigest := metadata.Digests(key, a.metadata()[key])
			index = append(index, tx.ConnectionMetadata.Create().SetConnectionID(connectionID).SetKeyDigest(keyDigest).SetPairDigest(pairDigest))
		}
	}
	if err := tx.Connection.CreateBulk(rows...).Exec(ctx); err != nil {
		return err
	}
	return tx.ConnectionMetadata.CreateBulk(index...).Exec(ctx)
}

func connectionOf(tx *ent.Tx, connectionID uuid.UUID, o owner, a account) *ent.ConnectionCreate {
	sec, nsec := connectionID.Time().UnixTime()
	now := time.Unix(sec, nsec).UTC().Truncate(time.Millisecond)
	return tx.Connection.Create().SetID(connectionID).SetAppID(o.app).SetProvider("zoom").SetClientID(o.clientID).
		SetGrantKey(string(grant.KeyOfUser("zoom", o.clientID, a.user))).
		SetGrantType(connection.GrantTypeAUTHORIZATION_CODE).SetState(connection.StateCONNECTED).
		SetSubject("customer-" + a.user).SetExternalUserID(a.user).SetExternalAccountID(a.region).
		SetExternalEmail(a.user + "@example.com").SetExternalDisplayName("User " + a.user).
		SetScopes([]string{"user:read:user"}).SetMetadata(a.metadata()).SetGeneration(1).SetConsentedAt(now).
		SetAccessTokenExpiresAt(now.Add(time.Hour)).SetAccessTokenLife(3600).SetCreatedAt(now).SetUpdatedAt(now)
}
