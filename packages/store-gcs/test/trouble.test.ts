import { fixtureChecks, runCheck } from '@ws/conformance'
import type { ObjectStore } from '@ws/core'
import { startTroubleFixtures } from '@ws/test-servers'
import { afterAll, describe, it } from 'vitest'
import { gcsStore } from '../src/index.ts'
import { secrets, startSigningServer, tokenBucket } from './open-test-bucket.ts'

const server = await startSigningServer({ tokens: { [secrets[0]]: 'write', reader: 'read' } })
const open = (origin: string, token?: string, bucket?: string): ObjectStore =>
  gcsStore({ bucket: tokenBucket(origin, token, bucket), retry: { sleep: async () => undefined } })

const problem = {
  error: { code: 429, message: 'Too many requests.', errors: [{ reason: 'rateLimitExceeded' }] },
}
const trouble = await startTroubleFixtures({
  target: server.url,
  open,
  busy: { status: 429, headers: { 'content-type': 'application/json' }, body: JSON.stringify(problem) },
})
afterAll(async () => {
  await trouble.stop()
  await server.stop()
})

const fixtures = {
  ...trouble.fixtures,
  missingBucket: () => open(server.url, secrets[0], 'elsewhere'),
  wrongCredentials: () => open(server.url, 'secret-access-token-2'),
  readOnlyCredentials: () => open(server.url, 'reader'),
  // To the service, a token of another time is a wrong one.
  clockSkew: () => open(server.url, 'token-from-tomorrow'),
}

describe(`in trouble, on ${server.name}`, () => {
  for (const check of fixtureChecks)
    it(check.name, async () => {
      await runCheck(check, open(server.url), { fixtures, secrets: ['secret-access-token-2'] })
    })
})
