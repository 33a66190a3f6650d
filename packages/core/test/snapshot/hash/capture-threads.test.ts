import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, realpathSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { stopCaptureThreads } from '../../../src/snapshot/hash/capture-threads.ts'
import { openHashBackend } from '../../../src/snapshot/hash/open-hash-backend.ts'
import { temporaryDirectory, writeFiles } from '../../support/temporary-directory.ts'
import { summarize } from './capture-directory.ts'

/** More than is captured without threads. */
const FILES = 2200
const base = realpathSync(mkdtempSync(join(tmpdir(), 'ws-test-')))
const path = join(base, 'workspace')
const backendUrl = new URL('../../../src/snapshot/hash/open-hash-backend.ts', import.meta.url).href

beforeAll(() => {
  mkdirSync(path)
  for (let index = 0; index < FILES; index += 1) writeFiles(path, { [fileName(index)]: `content ${index}` })
})

afterAll(() => {
  stopCaptureThreads()
  rmSync(base, { recursive: true, force: true })
})

function fileName(index: number): string {
  return `d${index % 17}/e${index % 7}/f${index}.txt`
}

function openTree(stateDirectory = temporaryDirectory()) {
  return openHashBackend({ path, stateDirectory })
}

/** Runs a host of its own to its natural end. */
function runHost(body: string, flags: readonly string[] = []): string {
  const script = `
    import { openHashBackend } from ${JSON.stringify(backendUrl)}
    const backend = await openHashBackend(${JSON.stringify({ path, stateDirectory: temporaryDirectory() })})
    ${body}`
  return execFileSync(process.execPath, [...flags, '--input-type=module', '-e', script], {
    timeout: 60_000,
    encoding: 'utf8',
  }).trim()
}

test('captures of a big directory agree with each other, from the cache or not, at once or in turn', async () => {
  const backend = await openTree()
  const [first, second] = await Promise.all([
    backend.capture({ label: 'x' }),
    backend.capture({ label: 'x' }),
  ])
  expect(first.metadata.entries).toBe(FILES)
  expect(second.ref).toBe(first.ref)
  expect((await backend.capture({ label: 'x' })).ref).toBe(first.ref)
  expect((await (await openTree()).capture({ label: 'x' })).ref).toBe(first.ref)
})

test('the event loop turns while a big directory is captured', async () => {
  const backend = await openTree()
  await backend.capture({ label: 'x' })
  let captured = false
  const capture = backend.capture({ label: 'x' }).then(() => (captured = true))
  let turns = 0
  for (; !captured; turns += 1) await new Promise((resolve) => setImmediate(resolve))
  await capture
  expect(turns).toBeGreaterThan(100)
})

test('a host that only captures ends by itself', async () => {
  const body = `
    const all = await Promise.all([1, 2, 3].map(() => backend.capture({ label: 'x' })))
    console.log(new Set(all.map((snapshot) => snapshot.ref)).size)`
  expect(runHost(body)).toBe('1')
})

test('where threads are not allowed the capture goes on without them and gives the same', async () => {
  const { ref } = await (await openTree()).capture({ label: 'x' })
  const flags = ['--permission', '--allow-fs-read=*', '--allow-fs-write=*', '--no-warnings']
  expect(runHost(`console.log((await backend.capture({ label: 'x' })).ref)`, flags)).toBe(ref)
})

test('an abort stops the threads, and the next capture works', async () => {
  const backend = await openTree()
  const reason = new Error('enough')
  const controller = new AbortController()
  const outcome = backend.capture({ label: 'x', signal: controller.signal }).catch((error: unknown) => error)
  await new Promise((resolve) => setImmediate(resolve))
  controller.abort(reason)
  expect(await outcome).toBe(reason)
  expect((await backend.capture({ label: 'x' })).metadata.entries).toBe(FILES)
})

test('threads that were stopped are started again', async () => {
  const backend = await openTree()
  const { ref } = await backend.capture({ label: 'x' })
  stopCaptureThreads()
  expect((await backend.capture({ label: 'x' })).ref).toBe(ref)
})

test('edits in a big directory show exactly, equal sizes and times included', async () => {
  const backend = await openTree()
  const before = await backend.capture({ label: 'before' })
  const edited = [3, 1500, 2199].map(fileName)
  for (const name of edited) {
    const { atimeMs, mtimeMs, size } = statSync(join(path, name))
    writeFileSync(join(path, name), 'C'.repeat(size))
    utimesSync(join(path, name), new Date(atimeMs), new Date(mtimeMs))
  }
  rmSync(join(path, 'd5'), { recursive: true })
  writeFiles(path, { 'new.txt': 'new' })
  const after = await backend.capture({ label: 'after' })
  const found = (await backend.changes(before, after)).map(summarize)
  expect(found.filter((line) => line.startsWith('modified'))).toEqual(
    edited.toSorted().map((name) => `modified ${name}`),
  )
  expect(found.filter((line) => line.startsWith('added'))).toEqual(['added new.txt'])
  const deleted = found.filter((line) => line.startsWith('deleted d5/'))
  expect(deleted.length).toBe(
    Array.from({ length: FILES }, (_, index) => index).filter((index) => index % 17 === 5).length,
  )
  expect(found.length).toBe(deleted.length + 4)
})
