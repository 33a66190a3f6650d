import { Buffer } from 'node:buffer'
import { randomBytes } from 'node:crypto'
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { MessageChannel } from 'node:worker_threads'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { extractArchive, type ExtractPlan } from '../../src/bundle/archive/extract-archive.ts'
import { extractInThreads } from '../../src/bundle/archive/extract-in-threads.ts'
import {
  createBatchMemory,
  createFileBatches,
  STATE,
  STOPPED,
  type BatchMemory,
  type FileBatches,
} from '../../src/bundle/archive/file-batches.ts'
import { bundleThread } from '../../src/bundle/archive/run-in-worker.ts'
import { borrowThread, stopIdleThreads, type BorrowedThread } from '../../src/bundle/warm-threads.ts'
import { directory, file, hardLink, symlink, tarGz } from './tar-blocks.ts'
import { listTree } from './tree-listing.ts'

let base = ''

beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'ws-batches-'))
})

afterEach(async () => {
  await stopIdleThreads()
  rmSync(base, { recursive: true, force: true })
})

function planFor(root: string): ExtractPlan {
  mkdirSync(root)
  const limits = {
    maxArchiveBytes: 1e9,
    maxContentBytes: 1e9,
    maxFileBytes: 1e9,
    maxEntries: 1e6,
    maxRatio: Number.POSITIVE_INFINITY,
    maxDepth: 4096,
  }
  return { root, profile: 'trusted', limits, umask: 0o027, isReadTwice: false }
}

async function* inPieces(bytes: Uint8Array): AsyncGenerator<Uint8Array, void, void> {
  for (let offset = 0; offset < bytes.length; offset += 50_000) yield bytes.subarray(offset, offset + 50_000)
}

it('two threads extract what one does: later entries of a name, links to files on their way, sizes, modes and times', async () => {
  const parts: Parameters<typeof tarGz> = []
  for (let index = 0; index < 700; index += 1) {
    const folder = `d${index % 7}`
    const size = index % 90 === 0 ? 150_000 : (index * 37) % 3000
    const options = { mode: 0o600 | ((index * 11) & 0o177), mtime: 1_000_000 + index }
    if (index < 7) parts.push(directory(folder))
    parts.push(file(`${folder}/f${index}`, randomBytes(size), options))
    if (index % 50 === 3) parts.push(file(`${folder}/f${index}`, `replaced ${index}`, options))
    if (index % 60 === 5) parts.push(hardLink(`${folder}/h${index}`, `${folder}/f${index}`))
    if (index % 70 === 5) parts.push(symlink(`${folder}/s${index}`, `f${index}`))
  }
  const archive = tarGz(...parts)
  const [one, two] = [join(base, 'one'), join(base, 'two')]
  const inline = await extractArchive(inPieces(archive), planFor(one), {})
  const threaded = await extractInThreads(inPieces(archive), planFor(two), {})
  expect(threaded).toEqual(inline)
  expect(listTree(two)).toEqual(listTree(one))
})

describe('small files that are handed to a second thread', () => {
  let memory: BatchMemory
  let thread: BorrowedThread
  let batches: FileBatches

  beforeEach(() => {
    memory = createBatchMemory()
    const { port1, port2 } = new MessageChannel()
    thread = borrowThread(bundleThread, { kind: 'write', umask: 0, reader: { memory, port: port2 } }, [port2])
    batches = createFileBatches(memory, port1)
  })

  afterEach(async () => {
    batches.close()
    await thread.stop()
  })

  function hand(name: string, content: string, mtime = 1): boolean {
    const facts = { path: join(base, name), name, mode: 0o640, mtime, length: content.length }
    if (!batches.begin(facts)) return false
    batches.add(Buffer.from(content.slice(0, 2)))
    batches.add(Buffer.from(content.slice(2)))
    return true
  }

  it('are all there when it has settled', () => {
    for (let index = 0; index < 300; index += 1) expect(hand(`f${index}`, `content ${index}`)).toBe(true)
    batches.settle()
    expect(readdirSync(base)).toHaveLength(300)
    expect(readFileSync(join(base, 'f299'), 'utf8')).toBe('content 299')
    expect(lstatSync(join(base, 'f0')).mode & 0o777).toBe(0o640)
    expect(hand('later', 'later')).toBe(true)
    batches.settle()
    expect(readFileSync(join(base, 'later'), 'utf8')).toBe('later')
  })

  it('are refused when they are large, and when the thread does not keep up', () => {
    expect(batches.begin({ path: join(base, 'x'), name: 'x', mode: 0o600, mtime: 1, length: 1e6 })).toBe(
      false,
    )
    // A thread that never does a batch.
    batches.close()
    batches = createFileBatches(createBatchMemory(), new MessageChannel().port1)
    const taken = Array.from({ length: 40 }, (_, index) => hand(`f${index}`, 'x'.repeat(100_000)))
    expect(taken.indexOf(false)).toBeGreaterThan(0)
    expect(taken.lastIndexOf(true)).toBeLessThan(taken.indexOf(false))
  })

  it('fail as a whole when one of them cannot be written, and no later one is', () => {
    writeFileSync(join(base, 'f1'), 'in the way')
    for (let index = 0; index < 3; index += 1) hand(`f${index}`, 'content')
    expect(() => batches.settle()).toThrow(expect.objectContaining({ code: 'UNSAFE_PATH' }))
    expect(readFileSync(join(base, 'f1'), 'utf8')).toBe('in the way')
    expect(existsSync(join(base, 'f2'))).toBe(false)
  })

  it('keep the failure of the system apart from ours', () => {
    hand('absent/f', 'content')
    expect(() => batches.settle()).toThrow(expect.objectContaining({ code: 'ENOENT' }))
  })

  it('are not waited for when the thread is gone', async () => {
    await thread.stop()
    hand('f', 'content')
    Atomics.store(memory.control, STATE, STOPPED)
    expect(() => batches.settle()).toThrow(expect.objectContaining({ code: 'INTERNAL' }))
  })
})
