import {
  appendFileSync,
  chmodSync,
  linkSync,
  lstatSync,
  mkdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { expect, it, onTestFinished, vi } from 'vitest'
import { createDirectoryCursor } from '../../../src/bundle/engine/directory-cursor.ts'
import { fileStats } from '../../../src/bundle/engine/file-stats.ts'
import type { KnownTree } from '../../../src/bundle/engine/known-tree.ts'
import { useKnownTree } from '../../../src/bundle/engine/known-trees.ts'
import { lookAhead, type LookAhead, type LookedAt } from '../../../src/bundle/engine/look-ahead.ts'
import { readingThread, type ReadingThread } from '../../../src/bundle/engine/reading-thread.ts'
import { createSaveNotes } from '../../../src/bundle/engine/save-notes.ts'
import { walkDirectory, type FoundDirectory } from '../../../src/bundle/engine/walk-directory.ts'
import { temporaryDirectory, writeFiles } from '../../support/temporary-directory.ts'
import { startSaving } from './save-session.ts'
import { listDirectory, listSaved } from './saved-files.ts'

const DIRECTORIES = 40

function writeMany(filesEach: number): string {
  const directory = temporaryDirectory()
  const files: Record<string, string> = {}
  for (let number = 0; number < DIRECTORIES; number += 1)
    for (let file = 0; file < filesEach; file += 1)
      files[`d${number % 8}/e\u00e9${number}/file-${file}`] = `${number} ${file}`
  writeFiles(directory, files)
  symlinkSync('d1', join(directory, 'link'))
  return directory
}

async function startKnown(filesEach = 60): Promise<{ directory: string; tree: KnownTree }> {
  const directory = writeMany(filesEach)
  // What was made just now is looked at again by the next save.
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 10_000 })
  onTestFinished(() => void vi.useRealTimers())
  const cache = temporaryDirectory()
  const session = await startSaving(directory, cache)
  await session.save()
  const tree = await useKnownTree(cache, session.repository.marker.repository, async (known) => known)
  return { directory, tree: { ...tree, directories: new Map(tree.directories) } }
}

function thread(): ReadingThread {
  const started = readingThread()
  if (started === null) throw new Error('this machine has one core')
  return started
}

/** The thread answers in turn. */
function whenLooked(): Promise<unknown> {
  return new Promise((resolve) =>
    thread().send({ kind: 'identify', fd: 0, position: 0, lengths: [], keys: null }, resolve),
  )
}

function begin(tree: KnownTree, directory: string): LookAhead {
  const ahead = lookAhead(thread, tree, directory)
  if (ahead === null) throw new Error('nobody looks ahead')
  onTestFinished(() => ahead.stop())
  return ahead
}

function walk(directory: string, tree: KnownTree, ahead: Pick<LookAhead, 'take'> | null): FoundDirectory[] {
  const cursor = createDirectoryCursor(directory)
  const known = (path: string) => tree.directories.get(path) ?? null
  const options = { ahead, isExcluded: () => false, limitOf: () => null, notes: createSaveNotes() }
  try {
    return [...walkDirectory({ cursor, directory, known, ...options })]
  } finally {
    cursor.close()
  }
}

function takeFrom(ahead: LookAhead | null, tree: KnownTree, path: string): LookedAt | null | undefined {
  const known = tree.directories.get(path)
  return known === undefined ? undefined : ahead?.take(path, known)
}

const base = (directory: string, path: string): string =>
  join(directory, Buffer.from(path, 'latin1').toString())

it('sees all but the first directory before a walk that has not begun', async () => {
  const { directory, tree } = await startKnown()
  const ahead = begin(tree, directory)
  await whenLooked()
  expect(takeFrom(ahead, tree, '')).toBeNull()
  let seen = 0
  for (const [path, known] of tree.directories) {
    if (path === '') continue
    const { entries } = known
    const looked = ahead.take(path, known)
    for (const [index, { name }] of entries.entries()) {
      const stats = lstatSync(base(directory, `${path}/${name}`), { bigint: true })
      const there = looked?.at(index) ?? null
      expect(there === null ? null : fileStats(there)).toEqual(fileStats(stats))
      const types = [there?.isFile(), there?.isDirectory(), there?.isSymbolicLink()]
      expect(types).toEqual([stats.isFile(), stats.isDirectory(), stats.isSymbolicLink()])
      expect(looked?.isUntouched(index)).toBe(!stats.isDirectory())
      seen += 1
    }
  }
  expect(seen).toBe(DIRECTORIES * 61)
})

it('leaves to the walk what it has come to, and ends when the walk does', async () => {
  const { directory, tree } = await startKnown()
  let sent: Int32Array | null = null
  const late: ReadingThread = {
    send(request, settle) {
      if (request.kind === 'look') sent = request.state
      setImmediate(() => thread().send(request, settle))
    },
    receive: () => undefined,
    isGone: () => false,
  } as ReadingThread
  const ahead = lookAhead(() => late, tree, directory)
  const paths = walk(directory, tree, null).map(({ path }) => path)
  const half = paths[paths.length >> 1] ?? ''
  expect(takeFrom(ahead, tree, half)).toBeNull()
  await new Promise((resolve) => setImmediate(resolve))
  await whenLooked()
  for (const path of paths.slice(0, (paths.length >> 1) + 1)) expect(takeFrom(ahead, tree, path)).toBeNull()
  for (const path of paths.slice((paths.length >> 1) + 1)) expect(takeFrom(ahead, tree, path)).not.toBeNull()

  const stopped = lookAhead(() => late, tree, directory)
  stopped?.stop()
  await new Promise((resolve) => setImmediate(resolve))
  await whenLooked()
  expect([...(sent ?? [])]).toEqual([paths.length, paths.length])
})

it('has the walk find the same as it finds alone, whatever has changed', async () => {
  const { directory, tree } = await startKnown()
  const at = (path: string): string => join(directory, path)
  appendFileSync(at('d0/eé0/file-3'), 'more')
  chmodSync(at('d1/eé1/file-3'), 0o600)
  rmSync(at('d2/eé2/file-3'))
  writeFileSync(at('d3/eé3/new'), 'new')
  rmSync(at('d4/eé4'), { recursive: true })
  symlinkSync('eé12', at('d4/eé4'))
  rmSync(at('d5/eé5/file-3'))
  mkdirSync(at('d5/eé5/file-3'))
  linkSync(at('d6/eé6/file-3'), at('d6/eé6/other'))
  renameSync(at('d7'), at('d9'))
  const alone = walk(directory, tree, null)
  const ahead = begin(tree, directory)
  await whenLooked()
  expect(walk(directory, tree, ahead)).toEqual(alone)
})

it('is not asked about a tree of few entries', async () => {
  const { directory, tree } = await startKnown(20)
  const start = (): never => {
    throw new Error('a thread was started')
  }
  expect(lookAhead(start, tree, directory)).toBeNull()
  expect(lookAhead(() => null, (await startKnown()).tree, directory)).toBeNull()
})

it('saves what is there after changes of a large tree', async () => {
  const directory = writeMany(90)
  const session = await startSaving(directory, temporaryDirectory())
  for (let round = 0; round < 5; round += 1) {
    const saved = await session.save()
    expect(await listSaved(session.repository, saved)).toEqual(listDirectory(directory))
    appendFileSync(join(directory, `d${round}/eé${round}/file-1`), `${round}`)
    rmSync(join(directory, `d7/eé${7 + 8 * round}`), { recursive: true })
    writeFileSync(join(directory, `d6/eé${6 + 8 * round}/new`), `${round}`)
  }
})
