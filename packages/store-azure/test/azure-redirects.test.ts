import { ContainerClient, newPipeline } from '@azure/storage-blob'
import type { ObjectStore } from '@ws/core'
import { startFaultProxy } from '@ws/test-servers'
import { afterAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { azureStore, openAzureStore } from '../src/index.ts'
import { openTestContainer } from './open-test-container.ts'

const test = await openTestContainer()
const { credential } = test
const { containerName } = test.container
const { origin, pathname } = new URL(test.container.url)
const proxy = await startFaultProxy({ target: origin })
const sound = azureStore({ container: test.container })
afterAll(async () => {
  vi.unstubAllEnvs()
  await proxy.stop()
  await test.remove()
})

const pipeline = newPipeline(credential, { retryOptions: { maxTries: 1 } })
const behindProxy = azureStore({
  container: new ContainerClient(proxy.origin + pathname, pipeline),
  retry: { sleep: async () => undefined },
})

async function* long(): AsyncGenerator<Uint8Array> {
  for (let i = 0; i < 9; i += 1) yield Buffer.alloc(1_048_576)
}

const calls: Readonly<Record<string, (store: ObjectStore) => Promise<unknown>>> = {
  get: (store) => store.get('asked/a'),
  head: (store) => store.head('asked/a'),
  put: (store) => store.put('asked/a', Buffer.from('new')),
  'put of a long stream': (store) => store.put('asked/a', long()),
  'put with a condition': (store) => store.put('asked/a', Buffer.from('new'), { ifAbsent: true }),
  delete: (store) => store.delete('asked/a'),
  list: (store) => Array.fromAsync(store.list('asked/')),
}

/** Sends each request that names the blob, or the prefix, to the address of another. */
function redirect(to: string): void {
  proxy.reset()
  proxy.inject({
    match: ({ url }) => /asked(\/|%2F)/.test(url),
    times: Number.POSITIVE_INFINITY,
    fault: { kind: 'answer', status: 307, headers: { location: to } },
  })
}

const refusal = {
  code: 'UNAVAILABLE',
  message: expect.stringContaining('the answer did not come from the service') as string,
}

describe('a redirect by something before the service', () => {
  beforeEach(async () => {
    await sound.put('asked/a', Buffer.from('precious'))
    await sound.put('other/a', Buffer.from('somebody else'))
  })

  it.each(Object.entries(calls))('is no answer to %s by a client that follows it', async (name, call) => {
    const target =
      name === 'list' ? `${pathname}-of-others?restype=container&comp=list` : `${pathname}/other/a`
    redirect(target)
    await expect(call(behindProxy)).rejects.toMatchObject(refusal)
    redirect(name === 'list' ? '/login' : `${pathname}/missing`)
    await expect(call(behindProxy)).rejects.toMatchObject(refusal)
  })

  it.each(Object.entries(calls))(
    'is not followed to another blob by %s of a store that was opened',
    async (_, call) => {
      vi.stubEnv('AZURE_STORAGE_CONNECTION_STRING', '')
      vi.stubEnv('AZURE_STORAGE_ACCOUNT', credential.accountName)
      vi.stubEnv('AZURE_STORAGE_KEY', test.accountKey)
      const endpoint = proxy.origin + pathname.slice(0, -containerName.length - 1)
      const store = await openAzureStore({ container: containerName, endpoint })
      redirect(`${pathname}/other/a`)
      const before = proxy.requests.length
      await expect(call(store)).rejects.toMatchObject(refusal)
      expect(proxy.requests.slice(before).every(({ url }) => /asked(\/|%2F)/.test(url))).toBe(true)
      expect((await sound.head('other/a'))?.size).toBe(13)
    },
  )
})
