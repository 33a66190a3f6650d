import {
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import { describe, expect, it } from 'vitest'
import { tableOf, tableOfColumns, type EntryTable } from '../../../src/snapshot/git/table/entry-table.ts'
import { stampOf as stampOfStats, type CapturedEntry } from '../../../src/snapshot/git/table/file-stamp.ts'
import type { SpreadOptions } from '../../../src/snapshot/git/walk/spread-rows.ts'
import { startLook } from '../../../src/snapshot/git/walk/start-look.ts'
import { startStamping } from '../../../src/snapshot/git/walk/start-stamping.ts'
import { parseIndex } from '../../../src/snapshot/git/user/user-index.ts'
import { createScratch, runUserGit } from './git-fixture.ts'

const FILES = 800
const noPause = (): undefined => undefined

function entryOf(root: string, path: string, settled = true): CapturedEntry {
  return { ...stampOfStats(lstatSync(join(root, path), { bigint: true })), id: '0'.repeat(40), settled }
}

/** Files in a directory, and what a capture that saw them knows; one of them it could not be sure about. */
function prepare(): { root: string; map: Map<string, CapturedEntry>; expected: number[] } {
  const root = join(createScratch(), 'work')
  mkdirSync(root)
  const names = Array.from({ length: FILES }, (_, number) => `${10_000 + number}`)
  for (const name of names) writeFileSync(join(root, name), name)
  const map = new Map(names.map((name) => [name, entryOf(root, name, name !== '10300')]))
  writeFileSync(join(root, '10000'), 'other')
  rmSync(join(root, '10299'))
  symlinkSync('10000', join(root, '10299'))
  rmSync(join(root, '10600'))
  writeFileSync(join(root, 'new'), '10799')
  renameSync(join(root, 'new'), join(root, '10799'))
  return { root, map, expected: [0, 299, 300, 600, 799] }
}

/** The look of a capture that has nothing else to do. */
const findChangedRows = (
  root: string,
  table: EntryTable,
  pause: () => Promise<void> | undefined,
  options?: SpreadOptions,
): Promise<number[]> => startLook(root, table, options).changedRows(pause)

const source = new URL('../../../src/snapshot/git/table/visit-rows.ts', import.meta.url).href

/** A thread that does something with its rows, and a pause in which it is given the time to. */
function startWorker(root: string, work: string) {
  const file = join(root, '../worker.mjs')
  const marker = join(root, '../worked')
  writeFileSync(
    file,
    `import { writeFileSync } from 'node:fs'
     import { parentPort } from 'node:worker_threads'
     import { visitRows } from ${JSON.stringify(source)}
     parentPort.once('message', ({ task, port }) => {
       ${work}
       writeFileSync(${JSON.stringify(marker)}, '')
       port.postMessage(null)
     })`,
  )
  const pause = async (): Promise<void> => {
    while (!existsSync(marker)) await nextTurn()
  }
  return { options: { filesForThreads: 1, worker: pathToFileURL(file) }, pause }
}

describe('looking at every captured file', () => {
  it('finds the ones that are not what was captured', async () => {
    const { root, map, expected } = prepare()
    const tables: EntryTable[] = [tableOf(map, null), tableOfColumns(tableOf(map, null).columns())]
    for (const table of tables) expect(await findChangedRows(root, table, noPause)).toEqual(expected)
    const none = { filesForThreads: 1, worker: pathToFileURL('/nonexistent/worker.js') }
    expect(await findChangedRows(root, tables[0]!, noPause, none)).toEqual(expected)
  })

  it.each([
    ['finds the same in other threads', 'visitRows(task)'],
    [
      'looks again at what a thread leaves that dies in the middle',
      'Atomics.add(task.taken, 0, 3); task.verdicts[400] = 1; setImmediate(() => process.exit(3))',
    ],
    ['looks again at what a thread could not', 'Atomics.add(task.taken, 0, 2)'],
  ])('%s', async (_, work) => {
    const { root, map, expected } = prepare()
    const { options, pause } = startWorker(root, work)
    expect(await findChangedRows(root, tableOf(map, null), pause, options)).toEqual(expected)
  })

  it('ends with the abort of whoever asked', async () => {
    const { root, map } = prepare()
    const stop = new Error('stop')
    const pause = () => Promise.reject(stop)
    await expect(findChangedRows(root, tableOf(map, null), pause, { filesForThreads: 1 })).rejects.toBe(stop)
  })
})

describe('looking at the files that an index names', () => {
  it('says of each what the file system says, in other threads or without them', async () => {
    const { root } = prepare()
    runUserGit(root, 'init', '-q')
    runUserGit(root, 'add', '-A')
    const inLaterIndex = BigInt(Date.now() + 60_000) * 1_000_000n
    const index = parseIndex(readFileSync(join(root, '.git/index')), 'sha1', inLaterIndex)!
    expect(index.paths).toHaveLength(FILES - 1)
    writeFileSync(join(root, '10001'), 'longer')
    writeFileSync(join(root, '10002'), 'other')
    rmSync(join(root, '10003'))
    rmSync(join(root, '10004'))
    symlinkSync('10005', join(root, '10004'))
    const touched = new Set(['10001', '10002', '10003', '10004'])
    const real = new URL('../../../src/snapshot/git/walk/stat-worker.ts', import.meta.url)
    const missing = pathToFileURL('/nonexistent/worker.js')
    for (const options of [
      {},
      { filesForThreads: 1, worker: real },
      { filesForThreads: 1, worker: missing },
    ]) {
      const stamps = await startStamping(root, index, options).finish(noPause)
      for (const [row, path] of index.paths.entries()) {
        const stats = lstatSync(join(root, path), { bigint: true, throwIfNoEntry: false })
        expect(stamps.stampAt(row)).toEqual(stats === undefined ? null : stampOfStats(stats))
        expect([path, stamps.isUntouched(row)]).toEqual([path, !touched.has(path)])
      }
    }
    const young = parseIndex(readFileSync(join(root, '.git/index')), 'sha1', 0n)!
    const stamps = await startStamping(root, young).finish(noPause)
    expect([...young.paths.keys()].filter((row) => stamps.isUntouched(row))).toEqual([])
  })
})

describe('the table of a capture that has read a few files again', () => {
  const stamp = { mode: 0o100644, size: 1, inode: 1n, mtimeNs: 2n, ctimeNs: 3n, settled: true }
  const map = new Map(['a', 'b', 'c', 'd'].map((path, at) => [path, { ...stamp, id: `${at}`.repeat(40) }]))
  const earlier = tableOf(map, null)

  it('has the columns that it would have if it had been made anew', () => {
    const now = new Map(map)
    now.set('b', { ...stamp, size: 7, ctimeNs: 9n, settled: false, id: 'b'.repeat(40) })
    // Vanished, and there again a moment later.
    now.delete('c')
    now.set('c', { ...stamp, mode: 0o100755, id: 'c'.repeat(40) })
    const table = tableOf(now, { table: earlier, touched: ['c', 'b'] })
    const anew = tableOf(new Map([...now].toSorted(([a], [b]) => (a < b ? -1 : 1))), null)
    expect(table.columns()).toEqual(anew.columns())
    expect(table.paths()).toEqual(['a', 'b', 'c', 'd'])
  })

  it('takes nothing over when one path has gone and another has come', () => {
    const now = new Map(map)
    now.delete('d')
    now.set('e', { ...stamp, id: 'e'.repeat(40) })
    const table = tableOf(now, { table: earlier, touched: ['d', 'e'] })
    expect(table.paths()).toEqual(['a', 'b', 'c', 'e'])
    expect(table.columns()).toEqual(tableOf(now, null).columns())
  })
})
