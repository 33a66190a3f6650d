import { memoryStore } from '@ws/store-memory'
import type { ObjectStore } from '@ws/core'
import { expect, it } from 'vitest'
import { checkStore, formatReport, objectStoreChecks, type StoreCheck } from '../src/index.ts'
import { broken, outage, without } from './broken-stores.ts'

const few = objectStoreChecks.slice(0, 3)

async function keysOf(store: ObjectStore): Promise<string[]> {
  const keys: string[] = []
  for await (const { key } of store.list('')) keys.push(key)
  return keys
}

it('finds a sound store sound, and touches nothing else in the bucket', async () => {
  const store = memoryStore()
  await store.put('mine', Buffer.from('x'))
  const report = await checkStore(store, { checks: few })
  expect(report).toMatchObject({ isSound: true, passed: 3, leftBehind: [] })
  expect(report.findings.map(({ found }) => found)).toEqual(['atomic', 'atomic'])
  expect(await keysOf(store)).toEqual(['mine'])
})

it('a claim that is too strong is a failure, and the report says what was found', async () => {
  const ignoring = broken((store) => ({
    put: (key, body, options = {}) => store.put(key, body, without(options, 'ifAbsent')),
  }))()
  const report = await checkStore(ignoring, { checks: few })
  expect(report).toMatchObject({ isSound: false, failed: 0 })
  expect(formatReport(report)).toContain('NOT SOUND')
  expect(formatReport(report)).toContain(
    'createIfAbsent: claims atomic, found false: the condition is ignored',
  )
})

it('prints what failed with its reason, and what was not shown', async () => {
  const empty = broken((store) => ({
    head: async (key, options) => (await store.head(key, options)) && null,
  }))()
  const text = formatReport(await checkStore(empty))
  expect(text).toMatch(/failed {5}put, head, get and list agree on key, size, etag and time\n +\S/)
  expect(text).toMatch(/not shown {2}a missing bucket is an error/)
  expect(text).toMatch(/measured {3}addedMemoryBytes: \d+/)
}, 120_000)

it('cleans up after checks that fail or leave objects beside their prefix, and after an abort', async () => {
  const store = memoryStore()
  const controller = new AbortController()
  const messy: StoreCheck = {
    name: 'leaves a mess',
    async run(context) {
      await context.store.put('beside', Buffer.from('x'))
      controller.abort(new Error('enough'))
      throw new Error('failed')
    },
  }
  const run = checkStore(store, { checks: [messy, messy], signal: controller.signal })
  await expect(run).rejects.toThrow('enough')
  expect(await keysOf(store)).toEqual([])
})

it('says what it could not remove', async () => {
  const keeping = broken((store) => ({
    delete: async (key, options) => {
      if (key.endsWith('/one')) throw outage()
      await store.delete(key, options)
    },
  }))()
  const report = await checkStore(keeping, { checks: objectStoreChecks.slice(1, 2) })
  expect(report.isSound).toBe(false)
  expect(report.leftBehind).toEqual([expect.stringMatching(/^ws-check-.*\/one$/)])
})
