import type { RepositoryKeys } from '../format/repository-keys.ts'
import type { ThreadFailure } from '../thread-failure.ts'
import type { FrameJob, WrittenFile } from './restore-frame.ts'

export interface RestoreWorkerData {
  readonly keys: RepositoryKeys | null
}

export interface RestoreCall extends FrameJob {
  readonly call: number
  readonly stored: Uint8Array
}

export interface RestoreReply {
  readonly call: number
  readonly damaged: readonly number[]
  readonly damage: ThreadFailure | null
  readonly files: readonly WrittenFile[]
  /** The frame could not be worked on at all: the disk is full, for example. */
  readonly failure: ThreadFailure | null
}
