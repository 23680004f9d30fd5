package connection

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/ent"
	"github.com/tokenkeep/tokenkeep/ent/connection"
	"github.com/tokenkeep/tokenkeep/ent/oauthapp"
	"github.com/tokenkeep/tokenkeep/internal/audit"
	"github.com/tokenkeep/tokenkeep/internal/database"
	"github.com/tokenkeep/tokenkeep/internal/errs"
	"github.com/tokenkeep/tokenkeep/internal/grant"
	"github.com/tokenkeep/tokenkeep/internal/id"
	"github.com/tokenkeep/tokenkeep/internal/secret"
	"github.com/tokenkeep/tokenkeep/internal/tenant"
)

// The contract's UnavailableCode values.
const (
	codePending       = "PENDING"
	codeProvider      = "PROVIDER_UNAVAILABLE"
	codeVault         = "VAULT_UNAVAILABLE"
	codeMisconfigured = "APP_MISCONFIGURED"
	codeRefreshing    = "REFRESHING"
)

// retrySoon is when to ask again where something is about to be ready.
const retrySoon = 2 * time.Second

// Credential returns a token that is valid now. A fresh one costs one read of the row and no write; tokens come from
// memory or the vault, and one that has too little life left is refreshed first, once for all who wait. The state of a
// connection is in the result, never an error. Errors: BAD_USER_INPUT, CONFLICT (an ambiguous lookup).
func (s *Service) Credential(ctx context.Context, sel Selector, minTTL *int) (Result, error) {
	object := ""
	if sel.Connection != nil {
		object = id.Connection.Format(*sel.Connection)
	}
	if _, err := audit.Require(ctx, s.db.Ent, tenant.CredentialsRead, audit.CredentialRead, object); err != nil {
		return Result{}, err
	}
	if err := checkTTL(minTTL); err != nil {
		return Result{}, err
	}
	if sel.Bare && sel.Connection != nil {
		if r, ok, err := s.atHand(ctx, *sel.Connection, minTTL); ok || err != nil {
			return r, err
		}
	}
	row, err := s.selected(ctx, sel)
	if err != nil {
		return Result{}, err
	}
	if row == nil {
		return Result{NotConnected: "nothing is connected that matches; let the user connect"}, nil
	}
	r, err := s.credentialOf(ctx, row, minTTL)
	s.used(ctx, r)
	return r, err
}

func checkTTL(minTTL *int) error {
	if minTTL != nil && *minTTL < 0 {
		return errs.Input("minTTL", "minTTL is a number of seconds, zero or more")
	}
	return nil
}

// selected reads the row that a selector names; nil where there is none.
func (s *Service) selected(ctx context.Context, sel Selector) (*ent.Connection, error) {
	switch {
	case sel.Lookup != nil:
		return s.lookup(ctx, *sel.Lookup)
	case sel.Connection == nil:
		return nil, errs.Input("of", "name a connection, or a lookup")
	}
	row, err := s.db.Ent.Connection.Query().Where(connection.ID(*sel.Connection)).Only(ctx)
	if ent.IsNotFound(err) {
		return nil, nil
	}
	return row, err
}

// lookup never guesses: where several connections match, they must be of one external user, and then one that is connected
// stands for it, the newest consent first. A user who is disconnected is a match all the same: to hand out the other one's
// token in his place would be a guess.
func (s *Service) lookup(ctx context.Context, l Lookup) (*ent.Connection, error) {
	if strings.TrimSpace(l.Provider) == "" {
		return nil, errs.Input("of.lookup.provider", "name a provider")
	}
	if l.Kind == connection.KindUSER.String() && l.Subject == nil && l.ExternalUserID == nil {
		return nil, errs.Input("of.lookup.subject", "a USER lookup names subject or externalUserId")
	}
	query := s.db.Ent.Connection.Query().Where(connection.Provider(l.Provider), connection.KindEQ(connection.Kind(l.Kind)))
	if l.App != nil {
		query.Where(connection.AppID(*l.App))
	}
	if l.Subject != nil {
		query.Where(connection.Subject(*l.Subject))
	}
	if l.ExternalUserID != nil {
		query.Where(connection.ExternalUserID(*l.ExternalUserID))
	}
	rows, err := query.Order(connection.ByConsentedAt()).Limit(maxCredentials).All(ctx)
	if err != nil {
		return nil, fmt.Errorf("looking up a connection: %w", err)
	}
	return choose(rows)
}

// choose picks the row that stands for all, oldest consent first in rows.
func choose(rows []*ent.Connection) (*ent.Connection, error) {
	var chosen *ent.Connection
	for _, row := range rows {
		if row.State == connection.StatePENDING && len(rows) > 1 {
			continue // nobody has consented to it: it is no user's yet, and works for nobody
		}
		if chosen != nil && !sameUser(chosen, row) {
			return nil, errs.New(errs.Conflict, "several connections of different external users match; narrow the lookup by externalUserId or app, or ask by connection id").WithField("of.lookup")
		}
		if chosen == nil || row.State == connection.StateCONNECTED || chosen.State != connection.StateCONNECTED {
			chosen = row
		}
	}
	if chosen == nil && len(rows) > 0 {
		chosen = rows[len(rows)-1]
	}
	return chosen, nil
}

func sameUser(a, b *ent.Connection) bool {
	return a.ExternalUserID != nil && b.ExternalUserID != nil && *a.ExternalUserID == *b.ExternalUserID
}

// credentialOf answers for one row that was just read: the row is the authority.
func (s *Service) credentialOf(ctx context.Context, row *ent.Connection, minTTL *int) (Result, error) {
	if row.State != connection.StateCONNECTED {
		return notConnected(row), nil
	}
	opened, err := s.opened(ctx, row)
	return s.answerFrom(ctx, row, minTTL, opened, err)
}

// notConnected answers for a row that has no credential by its state.
func notConnected(row *ent.Connection) Result {
	if row.State == connection.StatePENDING {
		return unavailableResult(row, codePending, "the user has not consented yet", 5*time.Second)
	}
	return Result{Connection: row, Reauthorization: failureOrUnknown(row)}
}

// answerFrom answers from what is stored, or from a refresh where that is not enough.
func (s *Service) answerFrom(ctx context.Context, row *ent.Connection, minTTL *int, opened grant.Opened, err error) (Result, error) {
	switch {
	case err == nil && fresh(opened.Set.ExpiresAt, opened.Set.Life(), minTTL, s.now()):
		return s.handOut(row, opened), nil
	case err == nil && s.stillYoung(row) > 0:
		return s.asItIs(row, opened), nil
	case err == nil, errors.Is(err, grant.ErrMissing), errors.Is(err, grant.ErrUnreadable), errors.Is(err, grant.ErrRolledBack):
		return s.afterRefresh(ctx, row, minTTL)
	default:
		return s.failed(ctx, row, err)
	}
}

// opened returns the newest token set, from memory where it is of the row's generation.
func (s *Service) opened(ctx context.Context, row *ent.Connection) (grant.Opened, error) {
	caller := tenant.FromContext(ctx).Tenant
	if set, ok := s.cache.get(caller, row.ID, row.Generation); ok {
		return grant.Opened{Set: set, Generation: row.Generation}, nil
	}
	opened, err := s.keeper.Open(ctx, row)
	if err != nil {
		return grant.Opened{}, err
	}
	s.cache.put(caller, row.ID, opened)
	return opened, nil
}

// afterRefresh has the token refreshed and answers from the outcome.
func (s *Service) afterRefresh(ctx context.Context, row *ent.Connection, minTTL *int) (Result, error) {
	wait := s.backingOff(row)
	mended := wait > 0 && s.mended(ctx, row)
	if wait > 0 && !mended {
		return s.backedOff(row, wait), nil
	}
	resting, probe, err := s.rests(ctx, row)
	if err != nil {
		return Result{}, err
	}
	if resting != nil {
		return *resting, nil
	}
	patience, end := context.WithTimeout(ctx, s.readerWait)
	defer end()
	out, err := s.shareRefresh(ctx, patience, row, mended)
	opened := out.Opened
	if probe {
		err = errors.Join(err, s.probed(ctx, row.AppID, out, err))
	}
	if errors.Is(err, grant.ErrBusy) {
		opened, err = s.awaitOther(ctx, patience, row)
	}
	if err != nil {
		return s.failed(ctx, row, err)
	}
	return s.afterWaiting(ctx, row, opened, minTTL)
}

// afterWaiting answers from the row as it is now: whatever happened while the reader waited holds.
func (s *Service) afterWaiting(ctx context.Context, before *ent.Connection, opened grant.Opened, minTTL *int) (Result, error) {
	row, err := s.selected(ctx, Selector{Connection: &before.ID})
	switch {
	case err != nil:
		return Result{}, err
	case row == nil:
		return Result{NotConnected: "the connection was deleted"}, nil
	case row.State != connection.StateCONNECTED:
		return notConnected(row), nil
	}
	if err := s.stillActive(ctx, row); err != nil {
		return Result{}, err
	}
	if opened.Generation != 0 && opened.Generation < row.Generation { // a new consent came meanwhile
		if opened, err = s.opened(ctx, row); err != nil {
			return s.failed(ctx, row, err)
		}
	}
	newer := opened.Generation > before.Generation
	switch {
	case living(opened, s.now()) && (newer || fresh(opened.Set.ExpiresAt, opened.Set.Life(), minTTL, s.now())):
		return s.handOut(row, opened), nil
	case s.backingOff(row) > 0:
		return s.backedOff(row, s.backingOff(row)), nil
	case newer && s.stillYoung(row) > 0:
		return s.asItIs(row, opened), nil
	default:
		return unavailableResult(row, codeRefreshing, "a refresh is under way", retrySoon), nil
	}
}

// backingOff is how long no refresh is to be tried, after failures that pass.
func (s *Service) backingOff(row *ent.Connection) time.Duration {
	if row.FailureNextAttemptAt == nil {
		return 0
	}
	return row.FailureNextAttemptAt.Sub(s.now())
}

// mended reports whether what was to blame has been put right since: the app, or the vault where a rolled back store held
// the connection. There is nothing to wait for then.
func (s *Service) mended(ctx context.Context, row *ent.Connection) bool {
	if row.HeldBy != nil && grant.OfStore(row.FailureReason) {
		_, err := s.opened(ctx, row)
		return err == nil
	}
	if row.FailureClass != grant.ClassMisconfigured {
		return false
	}
	a, err := s.appRow(ctx, row.AppID)
	return err == nil && a.State == oauthapp.StateACTIVE
}

// backedOff says why and for how long.
func (s *Service) backedOff(row *ent.Connection, wait time.Duration) Result {
	code := codeProvider
	switch row.FailureClass {
	case grant.ClassMisconfigured:
		code = codeMisconfigured
	case grant.ClassReauthorize:
		code = codeRefreshing // a refusal is being confirmed; see grant.ConfirmDeath
	}
	return unavailableResult(row, code, row.FailureMessage, wait)
}

// refreshOnce runs one refresh for all who ask at the same time in this process and waits for it while patience lasts;
// then it is ErrBusy. now spends even where the last failure put the next attempt off.
func (s *Service) refreshOnce(ctx, patience context.Context, row *ent.Connection, now bool) (grant.Opened, error) {
	out, err := s.shareRefresh(ctx, patience, row, now)
	return out.Opened, err
}

// shareRefresh is refreshOnce, and tells the verdict too.
func (s *Service) shareRefresh(ctx, patience context.Context, row *ent.Connection, now bool) (grant.Refreshed, error) {
	caller := tenant.FromContext(ctx).Tenant
	results := s.refreshes.DoChan(fmt.Sprintf("%s %s %t", caller, row.ID, now), func() (any, error) {
		out, err := s.keeper.Refresh(context.WithoutCancel(ctx), row.ID, grant.Wanted{IfGeneration: row.Generation, Now: now})
		if err == nil && out.Verdict == nil {
			s.cache.put(caller, row.ID, out.Opened)
		}
		s.db.Signal(database.Settled, row.ID)
		return out, err
	})
	select {
	case r := <-results:
		out, _ := r.Val.(grant.Refreshed)
		return out, r.Err
	case <-patience.Done():
		return grant.Refreshed{}, outOfPatience(ctx)
	}
}

// outOfPatience is ErrBusy, unless it is the caller who left.
func outOfPatience(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return grant.ErrBusy
}

// awaitOther waits for a refresh that another process is making. It looks once at the head, which moves before the row
// does, and then at the row, whenever it is told that a refresh has ended and now and then without being told, until the
// row has moved or tells of a failure, or the reader's patience ends.
func (s *Service) awaitOther(ctx, patience context.Context, row *ent.Connection) (grant.Opened, error) {
	ended := s.db.Watch(database.Settled, row.ID)
	defer ended.Stop()
	looked := false
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		now, err := s.selected(ctx, Selector{Connection: &row.ID})
		switch {
		case err != nil:
			return grant.Opened{}, err
		case now == nil:
			return grant.Opened{}, grant.ErrGone
		case now.State != connection.StateCONNECTED, now.FailureAttempts > row.FailureAttempts, now.FailureClass != row.FailureClass:
			return grant.Opened{}, nil // the row says it all
		}
		if !looked || now.Generation > row.Generation {
			looked = true
			opened, err := s.keeper.Open(ctx, now)
			if err != nil || opened.Generation > row.Generation {
				return opened, err
			}
		}
		next := time.NewTimer(wait)
		select {
		case <-next.C:
		case <-ended.C:
			next.Stop()
		case <-patience.Done():
			next.Stop()
			return grant.Opened{}, outOfPatience(ctx)
		}
	}
}

// failed answers where our own side could not do it; nothing of that touches the connection.
func (s *Service) failed(ctx context.Context, row *ent.Connection, err error) (Result, error) {
	var told *errs.Error
	switch {
	case errors.Is(err, grant.ErrBusy), errors.Is(err, grant.ErrMissing), errors.Is(err, grant.ErrUnreadable), errors.Is(err, grant.ErrRolledBack):
		return unavailableResult(row, codeRefreshing, "a refresh is under way", retrySoon), nil
	case errors.Is(err, grant.ErrGone):
		return Result{NotConnected: "the connection was deleted"}, nil
	case errors.Is(err, grant.ErrNothingToSpend):
		return unavailableResult(row, codeRefreshing, "the token has less life left than asked for and cannot be renewed before it ends", retrySoon), nil
	case errors.As(err, &told) && told.Kind == errs.VaultUnavailable:
		s.log.WarnContext(ctx, "a credential could not be read", "connection", row.ID, "error", err)
		return unavailableResult(row, codeVault, told.Message, max(told.RetryAfter, retrySoon)), nil
	case errors.As(err, &told) && told.Kind == errs.AppMisconfigured:
		return unavailableResult(row, codeMisconfigured, told.Message, time.Minute), nil
	default:
		return Result{}, err
	}
}

// handOut makes the credential.
func (s *Service) handOut(row *ent.Connection, o grant.Opened) Result {
	c := &Credential{Version: o.Generation, TokenType: o.Set.TokenType, AccessToken: o.Set.AccessToken, Scopes: orEmpty(o.Set.Scopes),
		APIURL: o.Set.APIURL, RevalidateAfter: revalidateAfter(o.Set.ExpiresAt, s.now())}
	if o.Set.Username != "" {
		c.AccessToken = secret.New(base64.StdEncoding.EncodeToString([]byte(o.Set.Username + ":" + o.Set.AccessToken.Reveal())))
	}
	if !o.Set.ExpiresAt.IsZero() {
		c.ExpiresAt = &o.Set.ExpiresAt
	}
	if c.APIURL == "" {
		if p, ok := s.catalogue.Get(row.Provider); ok {
			c.APIURL = p.APIBase
		}
	}
	return Result{Connection: row, Credential: c}
}

// used notes the use of credentials now and then, off the reader's path and with one statement for all.
func (s *Service) used(ctx context.Context, results ...Result) {
	now := s.now()
	var due []uuid.UUID
	var idle []*ent.Connection
	for _, r := range results {
		if r.Credential != nil && s.useIsDue(ctx, r.Connection, now) {
			due = append(due, r.Connection.ID)
			idle = append(idle, r.Connection)
		}
	}
	if len(due) == 0 {
		return
	}
	ctx = context.WithoutCancel(ctx)
	s.background.start(func() {
		err := s.db.Ent.Connection.Update().Where(connection.IDIn(due...)).SetLastUsedAt(now).Exec(ctx)
		if err = errors.Join(err, s.shiftUp(ctx, idle)); err != nil {
			s.log.WarnContext(ctx, "noting a use failed", "connections", len(due), "error", err)
		}
	})
}

func (s *Service) useIsDue(ctx context.Context, row *ent.Connection, now time.Time) bool {
	if row.LastUsedAt != nil && now.Sub(*row.LastUsedAt) < usedEvery {
		return false
	}
	return s.cache.noteUse(tenant.FromContext(ctx).Tenant, row.ID, now)
}

func unavailableResult(row *ent.Connection, code, message string, retryAfter time.Duration) Result {
	return Result{Connection: row, Unavailable: &Unavailable{Code: code, Message: message, RetryAfter: max(retryAfter, time.Second)}}
}

// failureOrUnknown is the failure of a connection that is over.
func failureOrUnknown(row *ent.Connection) *Failure {
	if f := FailureOf(row); f != nil {
		return f
	}
	return &Failure{Class: grant.ClassReauthorize, Reason: "REVOKED", Message: "The connection is over; the user must connect again.", Since: row.UpdatedAt, LastAt: row.UpdatedAt}
}
