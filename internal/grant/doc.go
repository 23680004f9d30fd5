// Package grant is the only code that spends, stores or revokes a token.
//
// Mechanism. A grant at a provider is named by its Key. Spending (a refresh token, an authorization code) follows one
// order: claim the grant's lock in the database; reserve (read and open the vault's head, have a fresh data key in hand);
// check that the time left in the lock is enough; call the provider, which nobody can cancel; seal the answer locally;
// commit it to the vault by check-and-set; settle the row, the event, the audit entry and the lock in one transaction that
// is fenced on the lock's owner. A first authorization parks its sealed answer in an attempt row before anything is known
// of its user. What decides in doubt are pure functions (decide.go) over the record's head, the row, the outcome and the
// time; the runners (refresh.go, authorize.go, commit.go) only carry out what they say.
//
// Reason. A rotated refresh token exists nowhere but in the answer that carried it. So everything that can fail is done
// before the provider is called, and afterwards there is one write, tried until it is durable somewhere: in the vault, or
// sealed in the escrow table until the vault is back.
//
// Limit. Between the provider's commit and that first write a crash of this process loses the new token. The loss is
// noticed (the lock row says that a spend was under way) and named REFRESH_INTERRUPTED; it is never mistaken for a user
// who left.
package grant
