package model_test

import (
	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/internal/grant"
	"github.com/tokenkeep/tokenkeep/internal/oauth"
	"github.com/tokenkeep/tokenkeep/internal/provider"
)

// decisions are the product's pure functions, one field each, so that a test can put a broken one in the place of one.
type decisions struct {
	beforeSpend     func(grant.RowView, grant.HeadView) grant.SpendStep
	nextGeneration  func(grant.RowView, grant.HeadView) int64
	afterDoubt      func(grant.HeadView, uuid.UUID, grant.Role, grant.RowView, grant.HeadView) grant.DoubtStep
	retryAtOnce     func(provider.ReuseBehaviour, *oauth.Error) bool
	judge           func(grant.FailedSpend) grant.Verdict
	verdictOnLoss   func(grant.SpendStep) grant.Verdict
	recall          func(grant.SpendStep, grant.RowView, int64) bool
	unanswered      func(grant.FailedSpend, grant.Verdict, int64) int64
	stillUnanswered func(settled, unknown int64) int64
	headMoved       func(reserved, now grant.HeadView) bool
	lands           func(int64, grant.HeadView) bool
	displaces       func(generation, waiting int64) bool
	beforeStore     func(grant.StoredConsent) grant.StoreStep
	afterComparison func(grant.Comparison) grant.CompareStep
	showsConsent    func(grant.HeadView, uuid.UUID, bool) bool
	beforeRevoke    func(grant.Others) grant.RevokeStep
	staleCopy       func(grant.RowView, int64) bool

	// The order of steps is the runners'; these break it.
	// unfenced: a settlement does not look whose the lock is, nor which generation the row has. landsLate: an escrow is not landed before the spend.
	// spendsCached: the token that is spent is one from memory.
	unfenced, landsLate, spendsCached bool
}

// product is what the service runs.
func product() decisions {
	return decisions{
		beforeSpend: grant.BeforeSpend, nextGeneration: grant.NextGeneration, afterDoubt: grant.AfterDoubt, retryAtOnce: grant.RetryAtOnce, judge: grant.Judge,
		verdictOnLoss: grant.VerdictOnLoss, recall: grant.Recall, unanswered: grant.Unanswered, headMoved: grant.HeadMoved, stillUnanswered: grant.StillUnanswered,
		lands: grant.Lands, displaces: grant.Displaces, beforeStore: grant.BeforeStore, afterComparison: grant.AfterComparison,
		showsConsent: grant.ShowsConsent, beforeRevoke: grant.BeforeRevoke, staleCopy: grant.StaleCopy,
	}
}
