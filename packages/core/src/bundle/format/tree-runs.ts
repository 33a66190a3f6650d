import { Buffer } from 'node:buffer'
import { readBytes, type ByteReader } from './byte-reader.ts'
import { contentIdOf, type ContentId } from './content-id.ts'
import { writeUint64 } from './write-fields.ts'
import type { RepositoryKeys } from './repository-keys.ts'

/** A stretch of a file's content. `list`: a chunk that holds the runs (chunks and zeros only) of that stretch. */
export interface Run {
  readonly kind: 'chunk' | 'zeros' | 'list'
  /** `''` for zeros. */
  readonly id: ContentId
  readonly length: number
}

/** A chunk that is about to be stored. */
export interface NewChunk {
  readonly id: ContentId
  readonly content: Uint8Array
}

/** A file of more runs than this has them in lists. */
export const MAX_INLINE_RUNS = 256
const MIN_LIST_RUNS = 64
const MAX_LIST_RUNS = 1024

const CHUNK = 1
const ZEROS = 2
const LIST = 3

export function runBytes(run: Run): number {
  return run.kind === 'chunk' ? 37 : run.kind === 'zeros' ? 9 : 41
}

export function writeRun(target: Buffer, start: number, run: Run): number {
  let position = start
  if (run.kind === 'zeros') {
    position = target.writeUInt8(ZEROS, position)
    return writeUint64(target, run.length, position)
  }
  position = target.writeUInt8(run.kind === 'chunk' ? CHUNK : LIST, position)
  position += target.write(run.id, position, 32, 'hex')
  if (run.kind === 'chunk') return target.writeUInt32LE(run.length, position)
  return writeUint64(target, run.length, position)
}

export function readRun(reader: ByteReader): Run {
  const kind = reader.uint8()
  if (kind === CHUNK) return { kind: 'chunk', id: reader.hex(32), length: reader.uint32() }
  if (kind === ZEROS) return { kind: 'zeros', id: '', length: reader.uint64() }
  if (kind === LIST) return { kind: 'list', id: reader.hex(32), length: reader.uint64() }
  return reader.fail(`it has a run of the unknown kind ${kind}`)
}

/**
 * Moves the runs of a large file into lists, which are chunks of their own. A list ends after a run whose id begins with
 * a zero byte, so that the lists before and after a change stay the same.
 */
export function listRuns(
  runs: readonly Run[],
  keys: RepositoryKeys | null,
): { readonly runs: readonly Run[]; readonly lists: readonly NewChunk[] } {
  if (runs.length <= MAX_INLINE_RUNS) return { runs, lists: [] }
  const top: Run[] = []
  const lists: NewChunk[] = []
  let start = 0
  for (let index = 0; index < runs.length; index += 1) {
    const count = index + 1 - start
    const isCut = count >= MIN_LIST_RUNS && runs[index]?.id.startsWith('00') === true
    if (!isCut && count < MAX_LIST_RUNS && index < runs.length - 1) continue
    const part = runs.slice(start, index + 1)
    const content = encodeRunList(part)
    const id = contentIdOf(content, keys)
    lists.push({ id, content })
    top.push({ kind: 'list', id, length: part.reduce((sum, run) => sum + run.length, 0) })
    start = index + 1
  }
  return { runs: top, lists }
}

/** @throws `CORRUPT` unless it holds chunks and zeros of this length in all */
export function decodeRunList(bytes: Uint8Array, list: Run): readonly Run[] {
  const reader = readBytes(bytes, `run list ${list.id}`)
  const runs: Run[] = []
  let length = 0
  while (reader.remaining() > 0) {
    const run = readRun(reader)
    if (run.kind === 'list') reader.fail('it holds another list')
    if (run.length === 0) reader.fail('it has an empty run')
    length += run.length
    runs.push(run)
  }
  if (length !== list.length) reader.fail(`its runs are ${length} bytes long instead of ${list.length}`)
  return runs
}

function encodeRunList(runs: readonly Run[]): Buffer {
  const bytes = Buffer.allocUnsafe(runs.reduce((sum, run) => sum + runBytes(run), 0))
  let position = 0
  for (const run of runs) position = writeRun(bytes, position, run)
  return bytes
}
