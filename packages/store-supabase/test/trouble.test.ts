import { fixtureChecks, meetsNeed, runCheck } from '@ws/conformance'
import type { ObjectStore } from '@ws/core'
import { startSupabaseServer, startTroubleFixtures } from '@ws/test-servers'
import { afterAll, describe, it } from 'vitest'
import { supabaseStore } from '../src/index.ts'
import { keys, secretPart, storageClient, tokens, wrongKey } from './open-test-storage.ts'

const server = await startSupabaseServer({ tokens })
const open = (origin: string, key: string = keys.service, bucket = 'bucket'): ObjectStore =>
  supabaseStore({ client: storageClient(origin, key), bucket, retry: { sleep: async () => undefined } })

const trouble = await startTroubleFixtures({
  target: server.url,
  open,
  busy: {
    status: 429,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      statusCode: '429',
      error: 'too_many_connections',
      message: 'Too many connections',
    }),
  },
})
afterAll(async () => {
  await trouble.stop()
  await server.stop()
})

const fixtures = {
  ...trouble.fixtures,
  missingBucket: () => open(server.url, keys.service, 'elsewhere'),
  wrongCredentials: () => open(server.url, wrongKey),
  readOnlyCredentials: () => open(server.url, keys.reader),
  // Tokens end by the clock.
  clockSkew: () => open(server.url, keys.expired),
}

describe(`in trouble, on ${server.name}`, () => {
  const sound = open(server.url)
  for (const check of fixtureChecks.filter(({ needs }) => meetsNeed(sound.capabilities, needs)))
    it(check.name, async () => {
      await runCheck(check, sound, { fixtures, secrets: [secretPart] })
    })
})
