import { randomBytes } from 'node:crypto'
import { lstatSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { beforeEach, describe, expect, it } from 'vitest'
import { createDirectoryCursor } from '../../../src/filesystem/directory-cursor.ts'
import { fileStats } from '../../../src/bundle/engine/known/file-stats.ts'
import {
  readLargeFilesAhead,
  WORTH_THREAD_BYTES,
  type CutsAhead,
} from '../../../src/bundle/engine/save/large-files-ahead.ts'
import { readContent, type ReadContent } from '../../../src/bundle/engine/save/read-content.ts'
import { READ_BUFFER_BYTES } from '../../../src/bundle/engine/save/read-runs.ts'
import { readingThread, type ReadingThread } from '../../../src/bundle/engine/save/reading-thread.ts'
import type { IdentifyRuns, ReadingRequest } from '../../../src/bundle/engine/save/reading-messages.ts'
import { createChunker } from '../../../src/bundle/format/chunker.ts'
import { contentIdOf } from '../../../src/bundle/format/content-id.ts'
import type { Run } from '../../../src/bundle/format/tree-runs.ts'

const MIB = 1024 * 1024
let directory = ''
let path = ''

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'ws-test-'))
  path = join(directory, 'large')
  return () => rmSync(directory, { recursive: true })
})

interface Reading {
  readonly read: ReadContent
  /** What was taken, each under its true id. */
  readonly taken: ReadonlySet<string>
  readonly asked: readonly ReadingRequest[]
}

type Settle = Parameters<ReadingThread['send']>[1]

interface Choices {
  readonly oldRuns?: readonly Run[]
  readonly isHeld?: (id: string) => boolean
  /** In place of the other thread. */
  readonly send?: (number: number, request: ReadingRequest, settle: Settle) => void
  readonly pause?: () => Promise<void>
}

async function read(inThread: boolean, choices: Choices = {}): Promise<Reading> {
  const { oldRuns = [], isHeld = () => true, send, pause = async () => {} } = choices
  const taken = new Set<string>()
  const asked: ReadingRequest[] = []
  const thread: ReadingThread = {
    send(request, settle) {
      asked.push(request)
      if (send === undefined) realThread().send(request, settle)
      else send(asked.length, request, settle)
    },
    receive: () => {},
  }
  const [chunker, other] = [createChunker(null, READ_BUFFER_BYTES), createChunker(null, READ_BUFFER_BYTES)]
  if (chunker.memory === null || other.memory === null) throw new Error('this Node has no WebAssembly')
  const largeFiles = readLargeFilesAhead(thread, null, [chunker.memory, other.memory])
  const cursor = createDirectoryCursor(directory)
  try {
    const result = await readContent(
      {
        identify: (content) => contentIdOf(content, null),
        keep(id, content) {
          expect(contentIdOf(content, null)).toBe(id)
          taken.add(id)
        },
        pause,
        isHeld,
        largeFiles: (bytes) => (inThread && bytes >= WORTH_THREAD_BYTES ? largeFiles : null),
        chunker,
        cursor,
        directory,
      },
      '',
      'large',
      fileStats(lstatSync(path, { bigint: true })),
      oldRuns,
    )
    return { read: result, taken, asked }
  } finally {
    cursor.close()
  }
}

function realThread(): ReadingThread {
  const thread = readingThread()
  if (thread === null) throw new Error('this machine has one core')
  return thread
}

function runsOf({ read: result }: Reading): readonly Run[] {
  if (result.outcome !== 'read') throw new Error(`not read: ${result.outcome}`)
  return result.runs
}

/** Words and noise: cuts of all lengths. */
function content(bytes: number): Buffer {
  const noise = randomBytes(bytes)
  for (let start = 0; start < bytes; start += 8 * MIB)
    noise.fill('words, ', start, Math.min(bytes, start + 3 * MIB))
  return noise
}

describe('a large file', () => {
  it('is cut in another thread as it would be here', async () => {
    for (const bytes of [16 * MIB, 16 * MIB + 1, 21 * MIB + 77_777]) {
      writeFileSync(path, content(bytes))
      const here = await read(false)
      const there = await read(true)
      expect(runsOf(there)).toEqual(runsOf(here))
      expect(there.taken).toEqual(here.taken)
      expect(there.asked.length).toBeGreaterThan(4)
    }
  })

  it('is read here from where the other thread has stopped', async () => {
    writeFileSync(path, content(18 * MIB))
    const here = await read(false)
    const there = await read(true, { send: (_number, _request, settle) => settle(null) })
    expect(there.asked).toHaveLength(1)
    expect(runsOf(there)).toEqual(runsOf(here))
    expect(there.taken).toEqual(here.taken)
  })

  it('that shrinks while the other thread cuts it is no content', async () => {
    writeFileSync(path, content(24 * MIB))
    const shrinking = await read(true, {
      send(_number, request, settle) {
        if (request.kind === 'cut' && request.position === 0) truncateSync(path, lstatSync(path).size - 1)
        realThread().send(request, settle)
      },
    })
    expect(shrinking.read).toEqual({ outcome: 'moved' })
  })

  it('stays open until the other thread has done what it was asked, when the save is stopped', async () => {
    writeFileSync(path, content(24 * MIB))
    const second = Promise.withResolvers<() => void>()
    let hasEnded = false
    const reading = read(true, {
      pause: () => Promise.reject(new Error('stopped')),
      send(number, request, settle) {
        if (number === 1) realThread().send(request, settle)
        else second.resolve(() => settle(null))
      },
    }).finally(() => (hasEnded = true))
    const answer = await second.promise
    for (let turn = 0; turn < 10; turn += 1) await setImmediate()
    expect(hasEnded).toBe(false)
    answer()
    await expect(reading).rejects.toThrow('stopped')
  })
})

describe('a large file that is known', () => {
  const edits: Record<string, (known: Buffer) => Buffer> = {
    'has grown': (known) => Buffer.concat([known, randomBytes(MIB)]),
    'has a byte in front': (known) => Buffer.concat([Buffer.from('+'), known]),
    'was edited in place': (known) => {
      known.fill('edited', 30 * MIB, 30 * MIB + 500)
      return known
    },
    'has text inserted and lost': (known) =>
      Buffer.concat([
        known.subarray(0, 10 * MIB),
        Buffer.from('inserted'),
        known.subarray(10 * MIB, 25 * MIB),
        known.subarray(27 * MIB),
      ]),
    'has shrunk': (known) => known.subarray(0, 20 * MIB),
    'is another': (known) => randomBytes(known.length),
    'is as it was': (known) => known,
  }

  it.for(Object.entries(edits))('%s: has the same runs as when it is read here', async ([, edit]) => {
    const known = content(40 * MIB)
    writeFileSync(path, known)
    const oldRuns = runsOf(await read(false))
    const held = new Set(oldRuns.map(({ id }) => id))
    writeFileSync(path, edit(known))
    const here = await read(false, { oldRuns })
    const there = await read(true, { oldRuns, isHeld: (id) => held.has(id) })
    expect(there.asked.length).toBeGreaterThan(0)
    expect(runsOf(there)).toEqual(runsOf(here))
    for (const { id } of runsOf(here)) expect(held.has(id) || there.taken.has(id)).toBe(true)
  })

  it('is checked by both threads, half by each', async () => {
    writeFileSync(path, content(40 * MIB))
    const oldRuns = runsOf(await read(false))
    const { asked } = await read(true, { oldRuns })
    const identifiedThere = asked.reduce(
      (sum, request) => sum + (request.kind === 'identify' ? request.lengths.length : 0),
      0,
    )
    expect(identifiedThere / oldRuns.length).toBeGreaterThan(0.3)
    expect(identifiedThere / oldRuns.length).toBeLessThan(0.7)
  })

  it('is read here as far as its content is not held', async () => {
    writeFileSync(path, content(40 * MIB))
    const oldRuns = runsOf(await read(false))
    const missing = oldRuns.at(-3)?.id ?? ''
    const there = await read(true, { oldRuns, isHeld: (id) => id !== missing })
    expect(runsOf(there)).toEqual(oldRuns)
    expect(there.taken).toContain(missing)
  })
})

describe('the part of known cuts that the other thread checks', () => {
  const oldRuns = Array.from({ length: 60 }, (_, index) => ({
    kind: 'chunk' as const,
    id: String(index),
    length: MIB,
  }))

  /** Everything is as it was, says the other thread. */
  function follow(answer: (settle: () => void) => void = (settle) => settle()): {
    readonly ahead: CutsAhead
    readonly asked: IdentifyRuns[]
  } {
    const asked: IdentifyRuns[] = []
    const send: ReadingThread['send'] = (request, settle) => {
      if (request.kind !== 'identify') throw new Error('asked for something else')
      asked.push(request)
      const first = oldRuns.findIndex((_, index) => index * MIB >= request.position)
      const ids = oldRuns.slice(first, first + request.lengths.length).map(({ id }) => id)
      answer(() => settle({ ids, ends: [], counts: [] }))
    }
    const { memory } = createChunker(null, READ_BUFFER_BYTES)
    if (memory === null) throw new Error('this Node has no WebAssembly')
    const files = readLargeFilesAhead({ send, receive: () => {} }, null, [memory, memory])
    return { ahead: files.followCuts(0, oldRuns, () => true), asked }
  }

  it('says nothing of content that lies elsewhere than it was looked for', async () => {
    const { ahead, asked } = follow()
    expect(await ahead.isThere(0, 0)).toBe(false)
    const first = (asked[0]?.position ?? 0) / MIB
    expect(await ahead.isThere(first, first * MIB)).toBe(true)
    expect(await ahead.isThere(first, first * MIB + 5)).toBe(false)
    expect(asked.map(({ position }) => position % MIB)).toEqual([0, 5])
  })

  it('is waited for before the file is closed', async () => {
    const answers: (() => void)[] = []
    const { ahead } = follow((settle) => answers.push(settle))
    await ahead.isThere(0, 0)
    let isSettled = false
    const settling = ahead.settle().then(() => (isSettled = true))
    await setImmediate()
    expect(isSettled).toBe(false)
    for (const answer of answers) answer()
    await settling
  })
})
