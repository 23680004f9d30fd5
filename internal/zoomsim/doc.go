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
// Limit: everything ever issued is kept in memory, and lasts as long as the process unless its owner carries a
// [Server.Snapshot] over to the next; the control API has no authentication: serve it on loopback only. It answers on the
// root of its host, not under a path prefix.
//
// # Zoom's side
//
//	GET, POST /oauth/authorize    consent page; login_hint names the user, who is created when new
//	POST      /oauth/token        grant types authorization_code and refresh_token
//	POST      /oauth/revoke       ends the user's grant of this client
//	GET       /v2/users/me        the user of the bearer token
//
// # Control
//
// JSON in and out; an error is {"error": "..."} with 400 or 404. GET /_sim/ lists the same.
//
//	GET    /_sim/                  this list
//	GET    /_sim/ledger            every grant ever issued, and totals
//	GET    /_sim/clients           registered clients, without secrets
//	POST   /_sim/clients           register a client, or change the fields named
//	GET    /_sim/users             users
//	POST   /_sim/users             create a user, or change the fields named (id or email says who)
//	GET    /_sim/switches          switches
//	PATCH  /_sim/switches          change the switches named
//	POST   /_sim/grants/{id}/end   end one grant; {"reason"} is optional
//	POST   /_sim/grants/end        end the live grants of {"user", "client"}
//	POST   /_sim/expire            expire the access tokens of {"user", "client"}
//	GET    /_sim/faults            faults, with the number of requests each has taken
//	POST   /_sim/faults            add a fault
//	DELETE /_sim/faults            remove all faults and let go of what they hold
//	DELETE /_sim/faults/{id}       remove one fault
//
// The methods of [Server] do the same in-process. [Server.Hold] adds what HTTP cannot: a request that stands still,
// and a channel that says so. [Consent] walks a browser's way through the consent page.
package zoomsim
