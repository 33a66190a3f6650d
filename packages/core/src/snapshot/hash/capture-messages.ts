import { WorkspaceError, type ErrorCode, type ErrorDetails } from '../../errors.ts'
import type { FileHash } from '../../filesystem/scan-file-hash.ts'
import type { CaptureOutcome, CaptureRequest, UnknownFile } from './capture-job.ts'

/**
 * Files that one thread hashes at a time. In columns, because hundreds of thousands of them may wait in line: names
 * joined by NUL, and for each file its index, dev, ino, mode, size, mtime and ctime.
 */
export interface FileBatch {
  readonly root: string
  readonly readingBeganNs: bigint
  readonly paths: string
  readonly facts: BigInt64Array
}

const COLUMNS = 7

/** For each file of a batch: the content where the file was as described, else all that was found. */
export interface HashedBatch {
  readonly batch: FileBatch
  readonly found: readonly (string | FileHash)[]
}

export function packBatch(root: string, readingBeganNs: bigint, files: readonly UnknownFile[]): FileBatch {
  const facts = new BigInt64Array(files.length * COLUMNS)
  for (const [row, { index, entry }] of files.entries()) {
    const numbers = [index, entry.dev, entry.mode, entry.size].map(BigInt)
    facts.set([...numbers, entry.ino, entry.mtimeNs, entry.ctimeNs], row * COLUMNS)
  }
  return { root, readingBeganNs, paths: files.map(({ entry }) => entry.path).join('\0'), facts }
}

export function sizeOfBatch({ facts }: FileBatch): { readonly files: number; readonly bytes: number } {
  let bytes = 0
  for (let at = 3; at < facts.length; at += COLUMNS) bytes += Number(facts[at] ?? 0n)
  return { files: facts.length / COLUMNS, bytes }
}

export function unpackBatch({ paths, facts }: FileBatch): UnknownFile[] {
  return paths.split('\0').map((path, row) => {
    const column = (at: number): bigint => facts[row * COLUMNS + at] ?? 0n
    const entry = {
      path,
      type: 'file' as const,
      mode: Number(column(2)),
      size: Number(column(3)),
      content: '',
      dev: Number(column(1)),
      ino: BigInt.asUintN(64, column(4)),
      mtimeNs: column(5),
      ctimeNs: column(6),
      settled: false,
    }
    return { index: Number(column(0)), entry }
  })
}

/** `stop` is one shared 32-bit word; anything but 0 asks the thread to give up. */
export type CaptureCall =
  | { readonly kind: 'scan'; readonly request: CaptureRequest; readonly stop: Int32Array }
  | { readonly kind: 'hash'; readonly batch: FileBatch; readonly stop: Int32Array }
  /** Follows a `scan` that gave batches away. `scan` is that call's id. */
  | { readonly kind: 'finish'; readonly scan: number; readonly hashes: readonly HashedBatch[] }
  | { readonly kind: 'forget'; readonly scan: number }

export type CaptureReply =
  /** How many paths the walk has seen. */
  | { readonly kind: 'walked'; readonly seen: number }
  | { readonly kind: 'batch'; readonly batch: FileBatch }
  /** The walk is over and has given batches away; their hashes are awaited by `finish`. */
  | { readonly kind: 'scanned' }
  | { readonly kind: 'hashed'; readonly hashes: HashedBatch }
  | { readonly kind: 'captured'; readonly outcome: CaptureOutcome }
  | { readonly kind: 'stopped' }
  | { readonly kind: 'failed'; readonly failure: PortableFailure }

interface PortableFailure {
  readonly code: ErrorCode | null
  readonly message: string
  readonly details: ErrorDetails
  readonly cause: unknown
}

/** Errors lose their class between threads. */
export function packFailure(error: unknown): PortableFailure {
  if (WorkspaceError.is(error)) {
    return { code: error.code, message: error.message, details: error.details, cause: error.cause }
  }
  return {
    code: null,
    message: error instanceof Error ? error.message : String(error),
    details: {},
    cause: error,
  }
}

export function unpackFailure(failure: PortableFailure): WorkspaceError {
  const { code, message, details, cause } = failure
  return new WorkspaceError(code ?? 'INTERNAL', message, { details, cause })
}
