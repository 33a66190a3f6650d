import { WorkspaceError, type ErrorCode, type ErrorDetails } from '../../errors.ts'
import type { FileHash } from '../../filesystem/scan-file-hash.ts'
import type { CaptureOutcome, CaptureRequest, UnknownFile } from './capture-job.ts'

/** Files that one thread hashes at a time. */
export interface FileBatch {
  readonly root: string
  readonly readingBeganNs: bigint
  readonly files: readonly UnknownFile[]
}

export type HashedBatch = readonly (readonly [index: number, hash: FileHash])[]

/** `stop` is one shared 32-bit word; anything but 0 asks the thread to give up. */
export type CaptureCall =
  | { readonly kind: 'scan'; readonly request: CaptureRequest; readonly stop: Int32Array }
  | { readonly kind: 'hash'; readonly batch: FileBatch; readonly stop: Int32Array }
  /** Follows a `scan` that gave batches away. `scan` is that call's id. */
  | { readonly kind: 'finish'; readonly scan: number; readonly hashes: readonly HashedBatch[] }
  | { readonly kind: 'forget'; readonly scan: number }

export type CaptureReply =
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
