import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import {
  chmodSync,
  closeSync,
  cpSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { isSettled, isUntouched, fileEntry } from '../../../src/filesystem/scan-entry.ts'
import { createCaptureJob, hashUnknown } from '../../../src/snapshot/hash/capture-job.ts'
import { normalizeIgnoreRules } from '../../../src/snapshot/hash/ignore-rules.ts'
import { recallCapture, rememberCapture } from '../../../src/snapshot/hash/stat-cache.ts'
import { temporaryDirectory, writeFiles } from '../../support/temporary-directory.ts'

/** Captures at a moment of the test's choosing; tells which files were read. */
function captureAt(root: string, directory: string, nowMs = Date.now()) {
  const read: string[] = []
  const job = createCaptureJob(
    { root, directory, ownPath: null, rules: normalizeIgnoreRules() },
    (file) => files.push(file),
    nowMs,
  )
  const files: Parameters<Parameters<typeof createCaptureJob>[1]>[0][] = []
  for (const _ of job.walk());
  const hashes = new Map(
    files.map((file) => {
      read.push(file.entry.path)
      return [file.index, hashUnknown(root, file, job.readingBeganNs)] as const
    }),
  )
  return { ...job.finish(hashes), read }
}

function prepare() {
  const base = temporaryDirectory()
  const [root, directory] = [join(base, 'workspace'), join(base, 'state')]
  mkdirSync(root)
  mkdirSync(directory)
  writeFiles(root, { 'a.txt': 'aaaa', 'b.txt': 'bbbb', 'c/d.txt': 'dddd' })
  return { root, directory }
}

/** The same state for a process that remembers nothing. */
function reopen(directory: string): string {
  const copy = `${directory}-${randomUUID()}`
  cpSync(directory, copy, { recursive: true })
  return copy
}

/** Later than every change made so far by more than the margin. */
const later = (): number => Date.now() + 3000

test('an unchanged file is not read again once its change time is settled', () => {
  const { root, directory } = prepare()
  expect(captureAt(root, directory, later()).read.length).toBe(3)
  expect(captureAt(root, directory, later()).read).toEqual([])
})

test('a file that changed within two seconds before a capture is read again by the next', () => {
  const { root, directory } = prepare()
  captureAt(root, directory)
  expect(captureAt(root, directory, later()).read.length).toBe(3)
  expect(isSettled(1_000_000_000n, 3_000_000_000n)).toBe(false)
  expect(isSettled(1_000_000_000n, 3_000_000_001n)).toBe(true)
})

test('an edit of equal size with the modification time set back is seen in a settled file', () => {
  const { root, directory } = prepare()
  const first = captureAt(root, directory, later())
  const { atimeMs, mtimeMs } = statSync(join(root, 'a.txt'))
  const descriptor = openSync(join(root, 'a.txt'), 'r+')
  writeSync(descriptor, 'AAAA', 0)
  closeSync(descriptor)
  utimesSync(join(root, 'a.txt'), atimeMs / 1000, mtimeMs / 1000)
  const second = captureAt(root, directory, later())
  expect(second.read).toEqual(['a.txt'])
  expect(second.ref).not.toBe(first.ref)
})

test('a file that took the place of another is seen', () => {
  const { root, directory } = prepare()
  const first = captureAt(root, directory, later())
  renameSync(join(root, 'a.txt'), join(root, 'x.txt'))
  renameSync(join(root, 'b.txt'), join(root, 'a.txt'))
  renameSync(join(root, 'x.txt'), join(root, 'b.txt'))
  const second = captureAt(root, directory, later())
  expect(second.read).toEqual(['a.txt', 'b.txt'])
  expect(second.ref).not.toBe(first.ref)
})

test('each fact of the stat counts', () => {
  const { root } = prepare()
  const stats = statSync(join(root, 'a.txt'), { bigint: true })
  const entry = fileEntry('a.txt', stats, 'x', true)
  expect(isUntouched(entry, stats)).toBe(true)
  for (const [fact, value] of [
    ['ctimeNs', 1n],
    ['mtimeNs', 1n],
    ['ino', 1n],
    ['size', 1],
    ['mode', 1],
    ['dev', 1],
  ] as const) {
    expect([fact, isUntouched({ ...entry, [fact]: value }, stats)]).toEqual([fact, false])
  }
})

test('the cache outlives the process, keeps odd names, and drops what is gone', () => {
  const { root, directory } = prepare()
  writeFileSync(Buffer.concat([Buffer.from(`${root}/`), Buffer.from([0xff, 0x0a])]), 'odd')
  const first = captureAt(root, directory, later())
  const copy = reopen(directory)
  const second = captureAt(root, copy, later())
  expect(second).toMatchObject({ read: [], ref: first.ref })
  renameSync(join(root, 'a.txt'), join(root, '0.txt'))
  expect(captureAt(root, copy, later()).read).toEqual(['0.txt'])
  expect(captureAt(root, reopen(copy), later()).read).toEqual([])
})

test('a damaged cache is a cold start, never a wrong answer', () => {
  const { root, directory } = prepare()
  const first = captureAt(root, directory, later())
  const name = readdirSync(directory).find((file) => file.startsWith('stat-cache')) ?? ''
  const good = readFileSync(join(directory, name))
  const damages = [Buffer.alloc(0), Buffer.from('junk'), good.subarray(0, -1), good.subarray(0, 20)]
  for (let at = 0; at < good.length; at += 7) {
    const bytes = Buffer.from(good)
    bytes[at] = (bytes[at] ?? 0) ^ 0x40
    damages.push(bytes)
  }
  for (const damage of damages) {
    writeFileSync(join(directory, name), damage)
    expect(captureAt(root, reopen(directory), later())).toMatchObject({ ref: first.ref, read: { length: 3 } })
  }
})

test('a cache that cannot be written costs speed only', () => {
  const { root, directory } = prepare()
  captureAt(root, directory, later())
  const copy = reopen(directory)
  for (const name of readdirSync(copy).filter((file) => file.startsWith('stat-cache'))) {
    renameSync(join(copy, name), join(copy, 'old'))
    mkdirSync(join(copy, name, 'in-the-way'), { recursive: true })
  }
  expect(captureAt(root, copy, later()).read.length).toBe(3)
})

test('files that may not be read, and directories that may not be listed, are counted and nothing throws', async () => {
  const { root, directory } = prepare()
  chmodSync(join(root, 'a.txt'), 0o000)
  mkdirSync(join(root, 'closed'))
  writeFiles(root, { 'closed/x': 'x' })
  chmodSync(join(root, 'closed'), 0o700)
  chmodSync(directory, 0o777)
  const url = new URL('../../../src/snapshot/hash/open-hash-backend.ts', import.meta.url).href
  const script = `
    import { openHashBackend } from ${JSON.stringify(url)}
    const backend = await openHashBackend(${JSON.stringify({ path: root, stateDirectory: directory })})
    console.log(JSON.stringify(await backend.capture({ label: 'x' })))`
  chmodSync(join(root, '..'), 0o755)
  const identity = process.getuid?.() === 0 ? { uid: 65534, gid: 65534 } : {}
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    ...identity,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  if (process.getuid?.() !== 0) chmodSync(join(root, 'closed'), 0o000)
  let output = ''
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
  expect(await once(child, 'close')).toEqual([0, null])
  chmodSync(join(root, 'closed'), 0o700)
  const snapshot = JSON.parse(output) as { coverage: unknown; metadata: { entries: number } }
  expect(snapshot.coverage).toMatchObject({
    complete: false,
    omitted: { unreadable: 2 },
    examples: [
      { path: 'a.txt', reason: 'unreadable' },
      { path: 'closed', reason: 'unreadable' },
    ],
  })
  expect(snapshot.metadata.entries).toBe(2)
})

test('what was found is remembered of the directories that were captured last, as long as it is not too much together', () => {
  const directory = temporaryDirectory()
  const entry = fileEntry('a', statSync(directory, { bigint: true }), '', true)
  const remember = (root: string, files: number): void => {
    const entries = Array.from({ length: files }, () => entry)
    rememberCapture(directory, root, { entries, manifest: null }, false)
  }
  const remembered = (root: string): number => recallCapture(directory, root).entries.length
  remember('/first', 120_000)
  remember('/second', 80_000)
  expect(['/first', '/second'].map(remembered)).toEqual([120_000, 80_000])
  remember('/third', 1_000)
  expect(['/first', '/second', '/third'].map(remembered)).toEqual([0, 80_000, 1_000])
})
