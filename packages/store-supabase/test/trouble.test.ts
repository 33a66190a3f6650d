import { fixtureChecks, meetsNeed, runCheck } from '@ws/conformance'
import type { ObjectStore } from '@ws/core'
import { startSupabaseServer, startTroubleFixtures } from '@ws/test-servers'
import { afterAll, describe, it } from 'vitest'
import { storageFetch, supabaseStore } from '../src/index.ts'
import { keys, secretPart, storageClient, tokens, wrongKey } from './open-test-storage.ts'

const server = await startSupabaseServer({ tokens })
const busy = {
  status: 429,
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify({
    statusCode: '429',
    error: 'too_many_connections',
    message: 'Too many connections',
  }),
}
afterAll(() => server.stop())

for (const [name, fetch] of [
  ['the default fetch', undefined],
  ['storageFetch', storageFetch],
] as const) {
  const open = (origin: string, key: string = keys.service, bucket = 'bucket'): ObjectStore =>
    supabaseStore({
      client: storageClient(origin, key, fetch),
      bucket,
      retry: { sleep: async () => undefined },
    })
  const trouble = await startTroubleFixtures({ target: server.url, open, busy })
  afterAll(() => trouble.stop())
  const fixtures = {
    ...trouble.fixtures,
    missingBucket: () => open(server.url, keys.service, 'elsewhere'),
    wrongCredentials: () => open(server.url, wrongKey),
    readOnlyCredentials: () => open(server.url, keys.reader),
    // Tokens end by the clock.
    clockSkew: () => open(server.url, keys.expired),
  }

  describe(`in trouble, on ${server.name} by ${name}`, () => {
    const sound = open(server.url)
    for (const check of fixtureChecks.filter(({ needs }) => meetsNeed(sound.capabilities, needs)))
      it(check.name, async () => {
        await runCheck(check, sound, { fixtures, secrets: [secretPart] })
      })
  })
}
