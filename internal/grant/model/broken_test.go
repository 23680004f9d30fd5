package model_test

import (
	"testing"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/internal/grant"
)

// TestModelCanFail breaks one decision, or one order of steps, at a time, in ways that would lose grants, blame users or
// bring back what was deleted, and expects the explorer to find a way there.
func TestModelCanFail(t *testing.T) {
	for name, broken := range map[string]func(d *decisions){
		"a refresh adopts what was only re-wrapped": func(d *decisions) {
			d.afterDoubt = func(reserved grant.HeadView, mine uuid.UUID, role grant.Role, row grant.RowView, now grant.HeadView) grant.DoubtStep {
				if right := grant.AfterDoubt(reserved, mine, role, row, now); right != grant.DoubtRewrite || role != grant.RoleRefresh {
					return right
				}
				return grant.DoubtAdopt
			}
		},
		"a refresh overwrites a newer set": func(d *decisions) {
			d.afterDoubt = func(reserved grant.HeadView, mine uuid.UUID, role grant.Role, row grant.RowView, now grant.HeadView) grant.DoubtStep {
				if right := grant.AfterDoubt(reserved, mine, role, row, now); right != grant.DoubtAdopt {
					return right
				}
				return grant.DoubtRewrite
			}
		},
		"a refresh drops its answer where the connection was deleted": func(d *decisions) {
			d.afterDoubt = func(reserved grant.HeadView, mine uuid.UUID, role grant.Role, row grant.RowView, now grant.HeadView) grant.DoubtStep {
				if right := grant.AfterDoubt(reserved, mine, role, row, now); right != grant.DoubtRevoke {
					return right
				}
				return grant.DoubtAdopt
			}
		},
		"the first refusal ends a connection": func(d *decisions) {
			d.judge = func(f grant.FailedSpend) grant.Verdict {
				f.RefusedSince = f.Now.Add(-grant.ConfirmDeath)
				f.ExchangeInFlight = false
				return grant.Judge(f)
			}
		},
		"an interrupted refresh blames the user": func(d *decisions) {
			d.recall = func(grant.SpendStep, grant.RowView, int64) bool { return false }
		},
		"what was not answered is forgotten": func(d *decisions) {
			d.unanswered = func(grant.FailedSpend, grant.Verdict, int64) int64 { return 0 }
		},
		"an authorization forgets what was not answered": func(d *decisions) {
			d.stillUnanswered = func(int64, int64) int64 { return 0 }
		},
		"a lagging row spends an older token": func(d *decisions) {
			d.beforeSpend = func(r grant.RowView, h grant.HeadView) grant.SpendStep {
				if right := grant.BeforeSpend(r, h); right != grant.StepReconcile {
					return right
				}
				return grant.StepSpend
			}
		},
		"the token spent is one from memory":  func(d *decisions) { d.spendsCached = true },
		"an escrow is landed after the spend": func(d *decisions) { d.landsLate = true },
		"an escrow is dropped":                func(d *decisions) { d.lands = func(int64, grant.HeadView) bool { return false } },
		"an escrow is written over a newer head": func(d *decisions) {
			d.lands = func(int64, grant.HeadView) bool { return true }
		},
		"a generation is used twice": func(d *decisions) {
			d.nextGeneration = func(r grant.RowView, _ grant.HeadView) int64 { return max(r.Generation, 1) }
		},
		"a settlement is not fenced": func(d *decisions) { d.unfenced = true },
		"a consent gives way to what is stored": func(d *decisions) {
			d.beforeStore = func(grant.StoredConsent) grant.StoreStep { return grant.StoreStays }
		},
		"the older of two consents stays": func(d *decisions) {
			d.afterComparison = func(c grant.Comparison) grant.CompareStep {
				if grant.AfterComparison(c) == grant.CompareOverwrite {
					return grant.CompareStays
				}
				return grant.CompareOverwrite
			}
		},
		"a revocation does not look for newer grants": func(d *decisions) {
			d.beforeRevoke = func(grant.Others) grant.RevokeStep { return grant.RevokeNow }
		},
		"a deletion keeps a copy that is spent": func(d *decisions) {
			d.staleCopy = func(grant.RowView, int64) bool { return false }
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := product()
			broken(&d)
			bad := firstCounterexample(d)
			if bad == nil {
				t.Fatal("the explorer finds nothing wrong")
			}
			t.Log(bad)
		})
	}
}

// firstCounterexample looks through the scenarios until one fails.
func firstCounterexample(d decisions) *counterexample {
	for _, p := range profiles {
		for _, sc := range scenarios {
			if _, bad := (&world{profile: p, decisions: d}).explore(sc); bad != nil {
				return bad
			}
		}
	}
	return nil
}
