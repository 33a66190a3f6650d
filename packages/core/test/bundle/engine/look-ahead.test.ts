import {
  appendFileSync,
  chmodSync,
  linkSync,
  lstatSync,
  mkdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { expect, it, onTestFinished, vi } from 'vitest'
import { createDirectoryCursor } from '../../../src/filesystem/directory-cursor.ts'
import type { KnownTree } from '../../../src/bundle/engine/known/known-tree.ts'
import { useKnownTree } from '../../../src/bundle/engine/known/known-trees.ts'
import { lookAhead, type LookAhead } from '../../../src/bundle/engine/save/look-ahead.ts'
import { lookedField } from '../../../src/bundle/engine/save/reading-messages.ts'
import { readingThread, type ReadingThread } from '../../../src/bundle/engine/save/reading-thread.ts'
import { createSaveNotes } from '../../../src/bundle/engine/save/save-notes.ts'
import { walkDirectory, type FoundDirectory } from '../../../src/bundle/engine/save/walk-directory.ts'
import type { TreeEntry } from '../../../src/bundle/format/tree-node.ts'
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

function walk(
  directory: string,
  tree: KnownTree,
  ahead: Pick<LookAhead, 'untouchedIn'> | null,
): FoundDirectory[] {
  const cursor = createDirectoryCursor(directory)
  const known = (path: string) => tree.directories.get(path) ?? null
  const options = { ahead, isExcluded: () => false, limitOf: () => null, notes: createSaveNotes() }
  try {
    return [...walkDirectory({ cursor, directory, known, listed: () => null, ...options })]
  } finally {
    cursor.close()
  }
}

function untouchedIn(ahead: LookAhead | null, tree: KnownTree, path: string) {
  const known = tree.directories.get(path)
  return known === undefined ? undefined : ahead?.untouchedIn(path, known)
}

it('sees all but the first directory before a walk that has not begun', async () => {
  const { directory, tree } = await startKnown()
  const ahead = begin(tree, directory)
  await whenLooked()
  expect(untouchedIn(ahead, tree, '')).toBeNull()
  const answers = (): Record<string, boolean | undefined> => {
    const all: Record<string, boolean | undefined> = {}
    for (const [path, { entries }] of tree.directories)
      if (path !== '')
        entries.forEach(({ name }, index) => {
          all[`${path}/${name}`] = untouchedIn(ahead, tree, path)?.(index)
        })
    return all
  }
  const expected = Object.fromEntries(
    [...tree.directories].flatMap(([path, { entries }]) =>
      path === '' ? [] : entries.map(({ name, type }) => [`${path}/${name}`, type !== 'directory']),
    ),
  )
  expect(Object.keys(expected)).toHaveLength(DIRECTORIES * 61)
  expect(answers()).toEqual(expected)
})

it('takes nothing for what it was that has changed in any way', async () => {
  const { directory, tree } = await startKnown()
  const place = 'd1/e\u00e91'
  const at = (name: string): string => join(directory, place, name)
  const stats = lstatSync(at('file-1'))
  const changes: Record<string, () => void> = {
    'file-1': () => writeFileSync(at('file-1'), '9 9'),
    'file-2': () => chmodSync(at('file-2'), 0o600),
    'file-3': () => rmSync(at('file-3')),
    'file-4': () => linkSync(at('file-4'), join(directory, 'other')),
    'file-5': () => renameSync(at('file-6'), at('file-5')),
    'file-7': () => {
      rmSync(at('file-7'))
      symlinkSync('file-8', at('file-7'))
    },
  }
  for (const change of Object.values(changes)) change()
  utimesSync(at('file-1'), stats.atime, stats.mtime)
  const ahead = begin(tree, directory)
  await whenLooked()
  const path = Buffer.from(place).toString('latin1')
  const isUntouched = untouchedIn(ahead, tree, path)
  const touched = tree.directories
    .get(path)
    ?.entries.flatMap(({ name }, index) => (isUntouched?.(index) ? [] : name))
  expect(touched).toEqual([...Object.keys(changes), 'file-6'].sort())
})

it('says no to one of another mode, size, kind or number of names, whatever its times say', async () => {
  const { tree, directory } = await startKnown()
  const path = Buffer.from('d1/e\u00e91').toString('latin1')
  const known = tree.directories.get(path)
  if (known === undefined) throw new Error('the directory is not known')
  let rows = new BigInt64Array(new SharedArrayBuffer(0))
  const spied: ReadingThread = {
    ...thread(),
    send: (message, onAnswer) => {
      if (message.kind === 'look') rows = message.rows
      thread().send(message, onAnswer)
    },
  }
  const ahead = lookAhead(() => spied, tree, directory)
  if (ahead === null) throw new Error('nobody looks ahead')
  await whenLooked()
  const says = (changes: object): boolean | undefined => {
    const entries = known.entries.map((entry) => ({ ...entry, ...changes }) as TreeEntry)
    return ahead.untouchedIn(path, { ...known, entries })?.(0)
  }
  expect(says({})).toBe(true)
  for (const changes of [{ mode: 0o600 }, { size: 4 }, { size: 2 ** 32 + 3 }, { type: 'symlink' }])
    expect(says(changes)).toBe(false)

  const row = rows.indexOf(known.stats[1] ?? 0n) - lookedField.ino
  for (const [place, number] of [
    [lookedField.nlink, 2n],
    [lookedField.size, 2n ** 32n + 3n],
  ] as const) {
    const was = rows[row + place] ?? 0n
    rows[row + place] = number
    expect(says({})).toBe(false)
    rows[row + place] = was
  }
  expect(says({})).toBe(true)
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
  expect(untouchedIn(ahead, tree, half)).toBeNull()
  await new Promise((resolve) => setImmediate(resolve))
  await whenLooked()
  for (const path of paths.slice(0, (paths.length >> 1) + 1))
    expect(untouchedIn(ahead, tree, path)).toBeNull()
  for (const path of paths.slice((paths.length >> 1) + 1))
    expect(untouchedIn(ahead, tree, path)).not.toBeNull()

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

it('starts no thread for who asks once, and takes the one that there is', async () => {
  vi.resetModules()
  const first = await import('../../../src/bundle/engine/save/reading-thread.ts')
  expect([first.warmReadingThread(), first.warmReadingThread()]).toEqual([null, first.readingThread()])
  vi.resetModules()
  const second = await import('../../../src/bundle/engine/save/reading-thread.ts')
  const started = second.readingThread()
  expect(started).not.toBeNull()
  expect(second.warmReadingThread()).toBe(started)
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
