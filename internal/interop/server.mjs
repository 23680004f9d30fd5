// An OAuth server that this project did not write: npm's oidc-provider on a loopback port, with refresh rotation, reuse
// detection, revocation, userinfo and PKCE. The first line on standard output is {"issuer": ...}; the server ends when
// standard input does, which happens however the test's process ends.
//
// Beside the provider's own endpoints:
//   GET, POST /interaction/{uid}   the login and consent page; the form names who signs in and what is not granted
//   GET /_test/ledger              what the server holds: token sets by grant, and counts of what it was asked
//   GET /_test/issued              every code and token that was ever issued
//   POST /_test/life?seconds=N     how long access tokens issued from now on live
//   POST /_test/revoke?grant=ID    ends a grant, as a user does in an account's settings
import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

const modules = createRequire(pathToFileURL(join(process.env.MODULES, 'package.json')))
const { Provider } = await import(pathToFileURL(modules.resolve('oidc-provider')))
const clients = JSON.parse(process.env.CLIENTS)

// The store is ours only so that its content can be looked at.
const store = new Map()
const issued = new Set()

class Adapter {
  constructor(model) { this.model = model }
  key(id) { return `${this.model}:${id}` }
  async upsert(id, payload) {
    store.set(this.key(id), { model: this.model, id, payload })
    if (['AuthorizationCode', 'AccessToken', 'RefreshToken'].includes(this.model)) issued.add(id)
  }
  async find(id) { return store.get(this.key(id))?.payload }
  async findByUid(uid) { return this.first((p) => p.uid === uid) }
  async findByUserCode(code) { return this.first((p) => p.userCode === code) }
  async consume(id) { (await this.find(id)).consumed = Math.floor(Date.now() / 1000) }
  async destroy(id) { store.delete(this.key(id)) }
  async revokeByGrantId(grantId) {
    for (const [key, { payload }] of store) if (payload.grantId === grantId) store.delete(key)
  }
  first(matches) {
    for (const { model, payload } of store.values()) if (model === this.model && matches(payload)) return payload
  }
}

const counts = { exchanges: 0, refreshes: 0, reuses: 0, refused: 0, revocations: 0 }
let accessTokenLife = 3600

const server = createServer()
server.listen(0, '127.0.0.1')
await once(server, 'listening')
const issuer = `http://127.0.0.1:${server.address().port}`

const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
const provider = new Provider(issuer, {
  adapter: Adapter,
  clients,
  jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), use: 'sig', alg: 'RS256' }] },
  cookies: { keys: [randomBytes(32).toString('hex')] },
  scopes: ['openid', 'offline_access', 'profile', 'email', 'calendar'],
  claims: { openid: ['sub'], profile: ['name'], email: ['email'] },
  clockTolerance: 0,
  pkce: { required: () => true },
  rotateRefreshToken: true,
  ttl: { AccessToken: () => accessTokenLife, Grant: 86400, Interaction: 600, RefreshToken: 86400, Session: 86400, IdToken: 3600 },
  features: { devInteractions: { enabled: false }, revocation: { enabled: true }, introspection: { enabled: true } },
  // Whoever signs in has an account.
  findAccount: (_, id) => ({ accountId: id, claims: async () => ({ sub: id, name: `Name of ${id}`, email: `${id}@example.com` }) }),
  interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
})

provider.on('grant.success', ({ oidc }) => {
  counts[{ authorization_code: 'exchanges', refresh_token: 'refreshes' }[oidc.params.grant_type]]++
})
provider.on('grant.error', (_, error) => {
  counts[error.error_detail === 'refresh token already used' ? 'reuses' : 'refused']++
})
provider.use(async (ctx, next) => {
  await next()
  if (ctx.oidc?.route === 'revocation' && ctx.status === 200) counts.revocations++
})

// ledger is what the server holds, by grant.
function ledger() {
  const grants = {}
  for (const { model, id, payload } of store.values()) {
    if (model !== 'RefreshToken' && model !== 'AccessToken') continue
    const grant = grants[payload.grantId] ??= { account: payload.accountId, client: payload.clientId, refreshTokens: [], accessTokens: 0 }
    if (model === 'AccessToken') grant.accessTokens++
    else grant.refreshTokens.push({ value: id, rotations: payload.rotations ?? 0, used: Boolean(payload.consumed) })
  }
  return { grants, counts }
}

async function form(req) {
  const parts = []
  for await (const part of req) parts.push(part)
  return new URLSearchParams(Buffer.concat(parts).toString())
}

const page = (uid, prompt) => `<!doctype html><title>${prompt}</title>
<form method="post" action="/interaction/${uid}">
  <label>Account <input name="account"></label> <label>All scopes but <input name="without"></label> <button>Continue</button>
</form>`

// interact answers one prompt. Consent grants only what the prompt says is missing: whatever else is granted makes the
// server ask again.
async function interact(req, res) {
  const { uid, prompt, params, session, grantId } = await provider.interactionDetails(req, res)
  if (req.method === 'GET') {
    res.setHeader('Content-Type', 'text/html; charset=utf-8')
    return res.end(page(uid, prompt.name))
  }
  const answers = await form(req)
  if (prompt.name === 'login') {
    return provider.interactionFinished(req, res, { login: { accountId: answers.get('account') } })
  }
  const grant = grantId ? await provider.Grant.find(grantId) : new provider.Grant({ accountId: session.accountId, clientId: params.client_id })
  for (const scope of prompt.details.missingOIDCScope ?? []) {
    if (scope === answers.get('without')) grant.rejectOIDCScope(scope)
    else grant.addOIDCScope(scope)
  }
  if (prompt.details.missingOIDCClaims) grant.addOIDCClaims(prompt.details.missingOIDCClaims)
  return provider.interactionFinished(req, res, { consent: { grantId: await grant.save() } })
}

async function control(url, res) {
  switch (url.pathname) {
    case '/_test/ledger':
      return res.end(JSON.stringify(ledger()))
    case '/_test/issued':
      return res.end(JSON.stringify([...issued]))
    case '/_test/life':
      accessTokenLife = Number(url.searchParams.get('seconds'))
      return res.end()
    case '/_test/revoke':
      await new Adapter('Grant').destroy(url.searchParams.get('grant'))
      await new Adapter('Grant').revokeByGrantId(url.searchParams.get('grant'))
      return res.end()
  }
  res.statusCode = 404
  res.end()
}

const handle = provider.callback()
server.on('request', async (req, res) => {
  const url = new URL(req.url, issuer)
  try {
    if (url.pathname.startsWith('/_test/')) await control(url, res)
    else if (url.pathname.startsWith('/interaction/')) await interact(req, res)
    else await handle(req, res)
  } catch (error) {
    console.error(error)
    res.statusCode = 500
    res.end()
  }
})

process.stdin.on('end', () => process.exit()).resume()
console.log(JSON.stringify({ issuer }))
