import type { BigIntStats } from 'node:fs'
import type { MessagePort } from 'node:worker_threads'
import type { ByteString } from '../../../filesystem/directory-handle.ts'
import type { ChunkerMemory } from '../../format/chunker.ts'
import type { ContentId } from '../../format/content-id.ts'
import type { RepositoryKeys } from '../../format/repository-keys.ts'
import type { FileStats } from '../known/file-stats.ts'

/** How the thread that reads is started. */
export interface ReadingWorkerData {
  readonly port: MessagePort
}

/** What a reading thread is asked. An open file stays open until the answer has come. */
export type ReadingRequest = ReadFiles | CutBlock | IdentifyRuns | LookBack

export interface ReadFiles {
  readonly kind: 'files'
  /** Absolute, with NUL between them. */
  readonly paths: ByteString
  /** What the walk saw of each: see {@link writeStats}. */
  readonly stats: BigInt64Array<ArrayBuffer>
  /** Gets the contents one after the other, each with room for the size that the walk saw. */
  readonly memory: SharedArrayBuffer
  /** In which files of more than one chunk are cut; `null` when there is none among them. */
  readonly chunker: ChunkerMemory | null
  readonly keys: RepositoryKeys | null
}

/** As much of a large file as the memory holds, read and cut anew. */
export interface CutBlock {
  readonly kind: 'cut'
  readonly fd: number
  readonly position: number
  /** How much there is from there on. */
  readonly bytesLeft: number
  readonly memory: ChunkerMemory
  readonly keys: RepositoryKeys | null
}

/** Content of known cuts, without what lies in them. */
export interface IdentifyRuns {
  readonly kind: 'identify'
  readonly fd: number
  readonly position: number
  /** Of each run; none is longer than the largest chunk. */
  readonly lengths: readonly number[]
  readonly keys: RepositoryKeys | null
}

/** Files and links that are known, looked at from the last directory back until a walk that comes from the first is met. */
export interface LookBack {
  readonly kind: 'look'
  /**
   * In the order of the walk: the absolute path of a directory and the names in it (nothing for what is not looked at),
   * with NUL between them.
   */
  readonly lists: readonly ByteString[]
  /** Gets a row for each name: see {@link writeLooked}. */
  readonly rows: BigInt64Array<SharedArrayBuffer>
  /** Shared: see {@link meeting}. */
  readonly state: Int32Array<SharedArrayBuffer>
}

/** Places in the memory in which a walk and who looks back tell each other how far they are. */
export const meeting = {
  /** The directory that the walk has come to. */
  walkedTo: 0,
  /** That directory and all behind it have their rows. */
  lookedFrom: 1,
} as const

/** Places in a row of {@link LookBack}; the first four as in `KnownDirectory.stats`. Zeros where nothing could be seen. */
export const lookedField = { dev: 0, ino: 1, ctimeNs: 2, mtimeNs: 3, mode: 4, size: 5, nlink: 6 } as const
export const LOOKED_FIELDS = 7

export function writeLooked(rows: BigInt64Array, row: number, stats: BigIntStats): void {
  const start = row * LOOKED_FIELDS
  rows[start + lookedField.dev] = stats.dev
  rows[start + lookedField.ino] = stats.ino
  rows[start + lookedField.ctimeNs] = stats.ctimeNs
  rows[start + lookedField.mtimeNs] = stats.mtimeNs
  rows[start + lookedField.mode] = stats.mode
  rows[start + lookedField.size] = stats.size
  rows[start + lookedField.nlink] = stats.nlink
}

export interface ReadingAnswer {
  /** Of the chunks of files or of a block. Of the runs, until the file ended. */
  readonly ids: readonly ContentId[]
  /** Of files and blocks: where each chunk ends in the memory. None when the file ended before it should. */
  readonly ends: readonly number[]
  /** Of each file: how many chunks it has; none when it was not there as the walk saw it. */
  readonly counts: readonly number[]
}

/** Also of a file that is read in a batch. */
export const MAX_BATCH_BYTES = 1024 * 1024
export const MAX_BATCH_FILES = 128

const NUMBERS_PER_FILE = 6

export function newStatsRows(files: number): BigInt64Array<ArrayBuffer> {
  return new BigInt64Array(files * NUMBERS_PER_FILE)
}

export function writeStats(rows: BigInt64Array, index: number, stats: FileStats): void {
  const row = index * NUMBERS_PER_FILE
  rows[row] = stats.dev
  rows[row + 1] = stats.ino
  rows[row + 2] = stats.mtimeNs
  rows[row + 3] = stats.ctimeNs
  rows[row + 4] = BigInt(stats.mode)
  rows[row + 5] = BigInt(stats.size)
}

/** Only files with one name are read in batches. */
export function readStats(rows: BigInt64Array, index: number): FileStats {
  const row = index * NUMBERS_PER_FILE
  const [dev = 0n, ino = 0n, mtimeNs = 0n, ctimeNs = 0n, mode = 0n, size = 0n] = rows.subarray(
    row,
    row + NUMBERS_PER_FILE,
  )
  return { dev, ino, mtimeNs, ctimeNs, mode: Number(mode), size: Number(size), nlink: 1 }
}
