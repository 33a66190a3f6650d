import type { BundleFormat, BundleProgress } from './bundle.ts'
import type { ExtractPlan } from './extract-archive.ts'
import type { ErrorCode, ErrorDetails } from '../errors.ts'

export interface CreateTask {
  readonly kind: 'create'
  /** A byte string. */
  readonly directory: string
  readonly exclude: readonly string[]
  readonly format: BundleFormat
  readonly level: number
}

export interface ExtractTask {
  readonly kind: 'extract'
  readonly plan: ExtractPlan
}

export type WorkerTask = CreateTask | ExtractTask

/**
 * Chunks go from thread to thread with their memory, not as copies. `taken` answers a chunk; a sender stops at a few
 * chunks without an answer. The memory of input comes back with the answer, to be filled again.
 */
export type ToWorker =
  | { readonly type: 'chunk'; readonly memory: ArrayBuffer; readonly bytes: number }
  | { readonly type: 'end' }
  | { readonly type: 'taken' }
  | { readonly type: 'abort' }

export type FromWorker =
  | { readonly type: 'chunk'; readonly chunk: Uint8Array }
  | { readonly type: 'taken'; readonly memory: ArrayBuffer }
  | { readonly type: 'progress'; readonly progress: BundleProgress }
  | { readonly type: 'done'; readonly result: unknown }
  | { readonly type: 'failed'; readonly failure: WorkerFailure }

/** An error in a shape that survives the way between threads. */
export interface WorkerFailure {
  readonly code: ErrorCode | null
  readonly message: string
  readonly details: ErrorDetails
  readonly errno: string | null
  readonly cause: unknown
}

/** Chunks on their way in either direction. */
export const CHUNKS_IN_FLIGHT = 3

export const INPUT_CHUNK_BYTES = 256 * 1024
