import assert from 'node:assert/strict'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { WorkspaceError, createBundleStore, type BundleStore, type ObjectStore } from '@ws/core'
import type { StoreCheck } from '../store-check.ts'
import { Died, dyingStore } from '../dying-store.ts'
import { faultyStore } from '../faulty-store.ts'
import { assertSameTree, writeFiles } from '../scratch-directory.ts'
import { assertWhole, historyOf, inDirectories } from './engine-checks.ts'

/** No operation below needs more calls; one that does not end is a defect of its own. */
const MAX_CALLS = 60
/** More than the minute that a dead saver is waited for. */
const CLAIM_AGE_MS = 120_000

export const crashChecks: readonly StoreCheck[] = [
  {
    name: 'a process that dies at any call of a save leaves whole versions, and the next save works',
    needs: 'createIfAbsent',
    run: dyingAtEveryCall({
      run: (bundles, source) => bundles.save('w', source, { message: 'next', parent: 1 }),
      before: ['w 1 first'],
      after: ['w 2 next', 'w 1 first'],
      doneAlready: 'CONFLICT',
    }),
  },
  {
    name: 'a process that dies at any call of a fork leaves whole versions, and the next fork works',
    needs: 'createIfAbsent',
    run: dyingAtEveryCall({
      run: (bundles) => bundles.fork('w', 'copy', { message: 'forked' }),
      before: ['w 1 first'],
      after: ['copy 1 forked', 'w 1 first'],
      doneAlready: 'ALREADY_EXISTS',
    }),
  },
  {
    name: 'a process that dies at any call of a delete leaves whole versions, and the next delete works',
    needs: 'createIfAbsent',
    run: dyingAtEveryCall({
      prepare: (bundles) => bundles.fork('w', 'copy', { message: 'forked' }),
      run: (bundles) => bundles.delete('w'),
      before: ['copy 1 forked', 'w 1 first'],
      after: ['copy 1 forked'],
    }),
  },
  {
    name: 'a process that dies at any call of a prune leaves whole versions, and the next prune works',
    needs: 'createIfAbsent',
    run: dyingAtEveryCall({
      prepare: (bundles, source) => bundles.save('w', source, { message: 'second' }),
      run: (bundles) => bundles.prune({ keepLast: 1 }, { exclusive: true }),
      before: ['w 2 second', 'w 1 first'],
      after: ['w 2 second'],
    }),
  },
  {
    name: 'a process that dies at any call of a load leaves the old directory or the new one, and the next load works',
    needs: 'createIfAbsent',
    run: inDirectories(async ({ directory, target, bundles, context }) => {
      const prefix = context.prefix.slice(0, -1)
      const old = writeFiles(join(directory, 'old'), { a: 'first', gone: 'with it', 'sub/same': 'same' })
      const latest = writeFiles(join(directory, 'latest'), { a: 'second', 'sub/same': 'same', 'new/b': 'b' })
      await bundles.save('w', old, { message: 'first' })
      await bundles.save('w', latest, { message: 'second' })
      for (let call = 1; ; call += 1) {
        assert.ok(call <= MAX_CALLS, `a load makes more than ${MAX_CALLS} calls`)
        rmSync(target, { recursive: true, force: true })
        await bundles.load('w', target, { version: 1 })
        const dying = dyingStore(context.store, { call, isApplied: false })
        const outcome: unknown = await createBundleStore(dying, { prefix, reliability: false })
          .load('w', target)
          .catch((error: unknown) => error)
        assertSameTree(target, outcome instanceof Died ? old : latest, `after call ${call}`)
        await bundles.load('w', target)
        assertSameTree(target, latest, 'the next load')
        if (!(outcome instanceof Died)) break
      }
    }),
  },
  {
    name: 'an outage of one call, before or after it is applied, neither loses nor doubles a version',
    needs: 'createIfAbsent',
    run: inDirectories(async ({ directory, context }) => {
      const source = join(directory, 'source')
      const retry = { sleep: async (): Promise<void> => undefined }
      for (const moment of ['before', 'result'] as const)
        for (let call = 1; ; call += 1) {
          assert.ok(call <= MAX_CALLS, `a save makes more than ${MAX_CALLS} calls`)
          let calls = 0
          const failing = faultyStore(context.store, (each) => {
            if (each.moment !== moment) return
            calls += 1
            if (calls === call) throw new WorkspaceError('UNAVAILABLE', 'The service is down for a moment.')
          })
          const remote = { ...failing, capabilities: { ...failing.capabilities, remote: true } }
          const prefix = `${context.prefix}${moment}-${call}`
          const bundles = createBundleStore(remote, { prefix, reliability: { retry } })
          writeFiles(source, { a: `content ${call}` })
          const { version } = await bundles.save('w', source, { message: 'first' })
          assert.equal(version.version, 1)
          const seen = createBundleStore(context.store, { prefix })
          assert.deepEqual(await historyOf(seen, 'w'), ['1 first'])
          await assertWhole(seen, 'w')
          if (calls < call) break
        }
    }),
  },
]

/**
 * Where a store only tests its conditions, a saver announces itself before it commits, and one that died is waited for
 * until its announcement is a minute old. This store tells of such announcements that they are that old already.
 */
async function whenClaimsHaveExpired(store: ObjectStore, prefix: string): Promise<ObjectStore> {
  const left = new Set<string>()
  for await (const { key } of store.list(`${prefix}/`)) if (key.includes('/claims/')) left.add(key)
  if (left.size === 0) return store
  return {
    ...store,
    capabilities: store.capabilities,
    async *list(within, options) {
      for await (const info of store.list(within, options))
        yield left.has(info.key)
          ? { ...info, modifiedAt: new Date(info.modifiedAt.getTime() - CLAIM_AGE_MS) }
          : info
    },
  }
}

interface Operation {
  readonly prepare?: (bundles: BundleStore, source: string) => Promise<unknown>
  readonly run: (bundles: BundleStore, source: string) => Promise<unknown>
  readonly before: readonly string[]
  readonly after: readonly string[]
  /** What doing it again may say when it had been done already. */
  readonly doneAlready?: string
}

function dyingAtEveryCall({ prepare, run, before, after, doneAlready }: Operation): StoreCheck['run'] {
  return inDirectories(async ({ directory, context }) => {
    const source = join(directory, 'source')
    for (const isApplied of [false, true])
      for (let call = 1; ; call += 1) {
        assert.ok(call <= MAX_CALLS, `the operation makes more than ${MAX_CALLS} calls`)
        const prefix = `${context.prefix}${isApplied ? 'after' : 'before'}-${call}`
        const bundles = createBundleStore(context.store, { prefix })
        writeFiles(source, { a: 'first' })
        await bundles.save('w', source, { message: 'first' })
        writeFiles(source, { a: 'second' })
        await prepare?.(bundles, source)
        const dying = createBundleStore(dyingStore(context.store, { call, isApplied }), {
          prefix,
          reliability: false,
        })
        const outcome = await run(dying, source).catch((error: unknown) => error)
        const left = await everyVersion(bundles)
        for (const version of left) assert.ok([...before, ...after].includes(version), `${version} came up`)
        for (const version of after)
          if (before.includes(version)) assert.ok(left.includes(version), `${version} was lost`)
        const later = await whenClaimsHaveExpired(context.store, prefix)
        const again = await run(createBundleStore(later, { prefix }), source).catch((error: unknown) => error)
        if (again instanceof Error)
          assert.ok(
            WorkspaceError.is(again) && again.code === doneAlready && left.length === after.length,
            `doing it again: ${String(again)}`,
          )
        assert.deepEqual(await everyVersion(bundles), after)
        if (!(outcome instanceof Died)) break
      }
  })
}

/** All of them, newest first within a workspace; each reads back whole. */
async function everyVersion(bundles: BundleStore): Promise<string[]> {
  const found: string[] = []
  for await (const { workspaceId } of bundles.list()) {
    for (const version of await historyOf(bundles, workspaceId)) found.push(`${workspaceId} ${version}`)
    await assertWhole(bundles, workspaceId)
  }
  return found
}
