import { inspect } from 'node:util'
import { createClient } from '@supabase/supabase-js'
import { startFaultProxy, startSupabaseServer, type FaultProxy, type SupabaseServer } from '@ws/test-servers'
import type { ObjectStore } from '@ws/core'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { supabaseStore } from '../src/index.ts'
import { keys, storageClient, tokens } from './open-test-storage.ts'

let server: SupabaseServer
let proxy: FaultProxy
let store: ObjectStore
beforeEach(async () => {
  server = await startSupabaseServer({ tokens })
  proxy = await startFaultProxy({ target: server.url })
  const client = storageClient(proxy.origin, keys.service)
  store = supabaseStore({ client, bucket: 'bucket', retry: { sleep: async () => undefined } })
})
afterEach(async () => {
  await proxy.stop()
  await server.stop()
})

const refusal = {
  code: 'UNAVAILABLE',
  message: expect.stringContaining('not from Supabase Storage') as string,
}

/** Pieces of spaces, 80 MiB in all unless somebody stops; JSON may begin with them. */
function tooLong(): { stream: ReadableStream<Uint8Array>; cancelled: () => boolean } {
  let pieces = 0
  let isCancelled = false
  const piece = new Uint8Array(1_048_576).fill(32)
  const stream = new ReadableStream<Uint8Array>({
    pull(controller) {
      pieces += 1
      if (pieces <= 80) controller.enqueue(piece)
      else controller.close()
    },
    cancel: () => void (isCancelled = true),
  })
  return { stream, cancelled: () => isCancelled }
}

async function* long(): AsyncGenerator<Uint8Array> {
  for (let count = 0; count < 20; count += 1) yield new Uint8Array(1_048_576)
}

it('an upload whose address is no URL is refused, and the address not repeated', async () => {
  const headers = { location: 'http://:secret-of-the-upload' }
  proxy.inject({ match: ({ method }) => method === 'POST', fault: { kind: 'headers', headers } })
  const failure: unknown = await store.put('a', long()).catch((error: unknown) => error)
  expect(failure).toMatchObject(refusal)
  expect(inspect(failure)).not.toContain('secret-of-the-upload')
})

it.each(['bytes 1-2/4', 'bytes 2-3/5', 'bytes */4'])(
  'a range that is answered with %j is refused',
  async (field) => {
    await store.put('a', Buffer.from('abcd'))
    const headers = { 'content-range': field }
    proxy.inject({
      match: ({ method, headers: sent }) => method === 'GET' && sent['range'] !== undefined,
      fault: { kind: 'headers', headers },
    })
    await expect(store.get('a', { range: { start: 2, end: 4 } })).rejects.toMatchObject(refusal)
  },
)

it.each([200, 400])(
  'an answer of status %d that is longer than any of the service is not read to its end',
  async (status) => {
    const { stream, cancelled } = tooLong()
    const fetch = async () =>
      new Response(stream, { status, headers: { 'content-type': 'application/json' } })
    const client = createClient(proxy.origin, keys.service, {
      auth: { persistSession: false },
      global: { fetch },
    })
    const call = supabaseStore({ client, bucket: 'bucket' }).head('a')
    await expect(call).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    expect(cancelled()).toBe(true)
  },
)
