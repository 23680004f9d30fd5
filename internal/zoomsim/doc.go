// Package zoomsim is a Zoom to develop and test against: the OAuth server, the REST call that a connection begins
// with, and a ledger that tells afterwards what became of every grant.
//
// Mechanism: one [Server] is an http.Handler over a state in memory behind one mutex. A request is processed to a
// complete answer first and delivered second, so that a fault can come between the two: the refresh token is rotated
// and nobody learns the new one, which is how grants are lost in production. Access tokens, refresh tokens and codes
// are random text with a recognizable beginning (zsim_at_, zsim_rt_, zsim_ac_), so that a search for it finds leaks.
// User and account ids derive from the e-mail address and are the same in every run.
//
// Reason: rotation, single-use codes, a second consent that ends the first and answers that never arrive cannot be
// provoked at Zoom. Shapes and texts follow public captures; where none exists, the comment beside the answer says
// that it is inferred.
//
// Limit: nothing is persisted, everything ever issued is kept until the process ends; serve it on loopback only. It answers on the root of its host, not under a path prefix.
//
// # Zoom's side
//
//	GET, POST /oauth/authorize    consent page; login_hint names the user, who is created when new
//	POST      /oauth/token        grant types authorization_code and refresh_token
//	POST      /oauth/revoke       ends the user's grant of this client
//	GET       /v2/users/me        the user of the bearer token
//
// The methods of [Server] control it. [Server.Hold] makes a request stand still,
// and a channel that says so. [Consent] walks a browser's way through the consent page.
package zoomsim
