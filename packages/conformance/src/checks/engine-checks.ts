import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { WorkspaceError, createBundleStore, type BundleStore } from '@ws/core'
import type { CheckContext, StoreCheck } from '../store-check.ts'
import { assertRejects, collect, streamOf, textBytes } from '../check-bodies.ts'
import { assertSameTree, withScratchDirectory, writeFiles, writeSampleTree } from '../scratch-directory.ts'

const RACERS = 16
const REBASERS = 6

/** What the engine makes of a store: versions of directories. Each check needs what commits a version. */
export const engineChecks: readonly StoreCheck[] = [
  {
    name: 'versions of a directory come back whole, one part, and one file at a time',
    needs: 'createIfAbsent',
    run: inDirectories(async ({ directory, target, bundles }) => {
      const source = writeSampleTree(join(directory, 'source'))
      const before = writeSampleTree(join(directory, 'before'))
      const first = await bundles.save('w', source, { message: 'first', tags: ['start'] })
      assert.equal(first.version.version, 1)
      writeFiles(source, { 'README.md': '# changed\n', 'new/file': 'new\n' })
      rmSync(join(source, 'many'), { recursive: true })
      const second = await bundles.save('w', source, { message: 'second' })
      assert.equal(second.version.parent, 1)

      await bundles.load('w', target)
      assertSameTree(target, source, 'version 2')
      await bundles.load('w', target, { version: 1 })
      assertSameTree(target, before, 'version 1 over version 2')
      const part = join(directory, 'part')
      writeFiles(part, { stays: 'mine' })
      await bundles.load('w', part, { paths: ['src'] })
      assertSameTree(join(part, 'src'), join(source, 'src'), 'a part of version 2')

      const file = await bundles.readFile('w', 'README.md', { version: 1 })
      assert.equal((await collect(file?.body ?? streamOf())).toString(), '# sample\n')
      const changes: string[] = []
      for await (const { path, contentChanged } of bundles.diff('w', 1, 2))
        if (contentChanged) changes.push(path)
      assert.ok(
        changes.includes('README.md') && changes.includes('new/file') && changes.includes('many/7.txt'),
      )
      assert.equal(changes.includes('src/deep/module.ts'), false)
      assert.deepEqual(await historyOf(bundles, 'w'), ['2 second', '1 first'])
      assert.deepEqual((await bundles.version('w', { version: 1 }))?.tags, ['start'])
      await assertWhole(bundles, 'w')
    }),
  },
  {
    name: 'an archive goes in and out',
    needs: 'createIfAbsent',
    run: inDirectories(async ({ directory, target, bundles }) => {
      const source = writeSampleTree(join(directory, 'source'))
      await bundles.save('w', source, { message: '' })
      const archive = await bundles.download('w')
      assert.ok(archive !== null)
      await bundles.upload('copy', archive)
      await bundles.load('copy', target)
      assertSameTree(target, source, 'the archive')
    }),
  },
  {
    name: 'a fork and its origin go on independently, and each outlives the other',
    needs: 'createIfAbsent',
    run: inDirectories(async ({ directory, target, bundles }) => {
      const source = writeFiles(join(directory, 'source'), { a: 'shared', b: 'origin' })
      await bundles.save('origin', source, { message: '' })
      await bundles.fork('origin', 'fork')
      await assertRejects(() => bundles.fork('origin', 'fork'), 'ALREADY_EXISTS', 'a fork onto a workspace')
      writeFiles(source, { b: 'fork' })
      await bundles.save('fork', source, { message: '' })
      await bundles.load('origin', target)
      assertSameTree(
        target,
        writeFiles(join(directory, 'expected'), { a: 'shared', b: 'origin' }),
        'the origin',
      )
      await bundles.delete('origin')
      await bundles.prune(null, { exclusive: true })
      assert.equal(await bundles.exists('origin'), false)
      await bundles.load('fork', target)
      assertSameTree(target, source, 'the fork')
      await assertWhole(bundles, 'fork')
    }),
  },
  {
    name: 'of 16 racing saves the one that succeeds is the next version, and every other gets CONFLICT',
    needs: 'createIfAbsent',
    run: inDirectories(async ({ directory, target, bundles, open }) => {
      await bundles.save('w', writeFiles(join(directory, 'first'), { a: 'first' }), { message: '' })
      const sources = Array.from({ length: RACERS }, (_, racer) =>
        writeFiles(join(directory, `racer-${racer}`), { a: `racer ${racer}` }),
      )
      const outcomes = await Promise.allSettled(
        sources.map((source, racer) => open().save('w', source, { message: `${racer}`, parent: 1 })),
      )
      const winners = outcomes.flatMap(({ status }, racer) => (status === 'fulfilled' ? [racer] : []))
      for (const outcome of outcomes)
        if (outcome.status === 'rejected')
          assert.ok(WorkspaceError.is(outcome.reason, 'CONFLICT'), `a loser got ${String(outcome.reason)}`)
      assert.equal(winners.length, 1, `${winners.length} of ${RACERS} savers were told that they won`)
      assert.deepEqual(await historyOf(bundles, 'w'), [`2 ${winners[0]}`, '1 '])
      await bundles.load('w', target)
      assertSameTree(target, sources[winners[0] ?? 0] ?? '', 'the version of the winner')
      await assertWhole(bundles, 'w')
    }),
  },
  {
    name: 'racing saves that rebase all become versions, and none is lost',
    needs: 'createIfAbsent',
    run: inDirectories(async ({ directory, target, bundles, open }) => {
      await bundles.save('w', writeFiles(join(directory, 'first'), { a: 'first' }), { message: 'first' })
      const saved = await Promise.all(
        Array.from({ length: REBASERS }, async (_, racer) => {
          const source = writeFiles(join(directory, `racer-${racer}`), { a: `racer ${racer}` })
          const { version } = await open().save('w', source, {
            message: `${racer}`,
            parent: 1,
            onConflict: 'rebase',
          })
          return { version: version.version, source, message: `${racer}` }
        }),
      )
      const expected = saved.map(({ version, message }) => `${version} ${message}`).concat('1 first')
      assert.deepEqual((await historyOf(bundles, 'w')).toSorted(), expected.toSorted())
      for (const { version, source } of saved) {
        await bundles.load('w', target, { version })
        assertSameTree(target, source, `version ${version}`)
      }
    }),
  },
  {
    name: 'prune beside saves takes nothing that a version needs',
    needs: 'createIfAbsent',
    run: inDirectories(async ({ directory, target, bundles, open }) => {
      const source = join(directory, 'source')
      const save = async (): Promise<void> => {
        for (let version = 1; version <= 5; version += 1) {
          writeFiles(source, { a: `content ${version}`, [`f${version}`]: 'x'.repeat(version) })
          await bundles.save('w', source, { message: `${version}` })
        }
      }
      const prune = async (): Promise<void> => {
        for (let round = 0; round < 3; round += 1) await open().prune({ keepLast: 2 })
      }
      await Promise.all([save(), prune()])
      await bundles.prune({ keepLast: 1 })
      assert.deepEqual(await historyOf(bundles, 'w'), ['5 5'])
      await bundles.prune(null, { exclusive: true })
      assert.equal((await bundles.usage()).unreferencedBytes, 0)
      await bundles.load('w', target)
      assertSameTree(target, source, 'what is left after prune')
      await assertWhole(bundles, 'w')
    }),
  },
  {
    name: 'an encrypted version comes back with its key only, and shows nothing in the store',
    needs: 'createIfAbsent',
    run: inDirectories(async ({ directory, target, context }) => {
      const prefix = `${context.prefix}encrypted`
      const open = (key: Uint8Array): BundleStore =>
        createBundleStore(context.store, { prefix, encryption: { key } })
      const key = randomBytes(32)
      const source = writeFiles(join(directory, 'source'), {
        'secret-name.txt': 'secret content '.repeat(50),
      })
      await open(key).save('w', source, { message: 'secret message' })
      await open(key).load('w', target)
      assertSameTree(target, source, 'the encrypted version')
      await assertRejects(() => open(randomBytes(32)).load('w', target), 'ACCESS_DENIED', 'another key')
      for await (const info of context.store.list(prefix)) {
        const found = await context.store.get(info.key)
        const stored = `${info.key}${(await collect(found?.body ?? streamOf())).toString('latin1')}`
        assert.equal(/secret/.test(stored), false, `${info.key} shows what was encrypted`)
      }
    }),
  },
  {
    name: 'a missing object is found by verify, and a load over it changes nothing',
    needs: 'createIfAbsent',
    run: inDirectories(async ({ directory, bundles, context }) => {
      await bundles.save('w', writeSampleTree(join(directory, 'source')), { message: '' })
      for await (const { key } of context.store.list(context.prefix))
        if (key.includes('/packs/')) await context.store.put(key, textBytes('something else'))
      const verified = await context.reopen().verify('w')
      assert.ok((verified?.problems.length ?? 0) > 0, 'verify found nothing')
      const target = writeFiles(join(directory, 'mine'), { a: 'mine' })
      await assertRejects(() => context.reopen().load('w', target), 'CORRUPT', 'a load of damage')
      assertSameTree(target, writeFiles(join(directory, 'expected'), { a: 'mine' }), 'the target')
    }),
  },
]

export interface EngineScratch {
  readonly directory: string
  /** A directory that does not exist yet. */
  readonly target: string
  readonly bundles: BundleStore
  /** The same versions as another process sees them: nothing is remembered. */
  readonly open: () => BundleStore
  readonly context: CheckContext & { readonly reopen: () => BundleStore }
}

/** Gives a check its own repository in the store and its own directory on disk. */
export function inDirectories(run: (scratch: EngineScratch) => Promise<void>): StoreCheck['run'] {
  return (context) =>
    withScratchDirectory((directory) => {
      const prefix = context.prefix.slice(0, -1)
      const open = (): BundleStore => createBundleStore(context.store, { prefix })
      const target = join(directory, 'target')
      return run({ directory, target, bundles: open(), open, context: { ...context, reopen: open } })
    })
}

export async function historyOf(bundles: BundleStore, id: string): Promise<string[]> {
  const found: string[] = []
  for await (const { version, message } of bundles.history(id)) found.push(`${version} ${message}`)
  return found
}

/** Every version of the workspace reads back whole. */
export async function assertWhole(bundles: BundleStore, id: string): Promise<void> {
  for await (const { version } of bundles.history(id)) {
    const verified = await bundles.verify(id, { version })
    assert.deepEqual(verified?.problems, [], `version ${version} of ${id} is damaged`)
  }
}
