import type { MessagePort } from 'node:worker_threads'
import type { BundleFormat, BundleProgress } from '../bundle.ts'
import type { ExtractPlan } from './extract-archive.ts'
import type { BatchMemory } from './file-batches.ts'
import type { ThreadFailure } from '../thread-failure.ts'

export interface CreateTask {
  readonly kind: 'create'
  /** A byte string. */
  readonly directory: string
  readonly exclude: readonly string[]
  readonly format: BundleFormat
  readonly level: number
}

interface ExtractTask {
  readonly kind: 'extract'
  readonly plan: ExtractPlan
  /** The thread that does the `write` task for it; `null` when nothing is written. */
  readonly writer: BatchPartner | null
}

/** Writes files for the thread that extracts an archive. */
export interface WriteTask {
  readonly kind: 'write'
  readonly umask: number
  readonly reader: BatchPartner
}

export interface BatchPartner {
  readonly memory: BatchMemory
  readonly port: MessagePort
}

export type WorkerTask = CreateTask | ExtractTask | WriteTask

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
  | { readonly type: 'failed'; readonly failure: ThreadFailure }

/** Chunks on their way in either direction. */
export const CHUNKS_IN_FLIGHT = 3

export const INPUT_CHUNK_BYTES = 256 * 1024
