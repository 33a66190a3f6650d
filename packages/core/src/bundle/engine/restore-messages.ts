import { WorkspaceError } from '../../errors.ts'
import type { RepositoryKeys } from '../format/repository-keys.ts'
import type { WorkerFailure } from '../worker-task.ts'
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
  readonly damage: WorkerFailure | null
  readonly files: readonly WrittenFile[]
  /** The frame could not be worked on at all: the disk is full, for example. */
  readonly failure: WorkerFailure | null
}

/** The error that `toFailure` packed for the way between threads. */
export function fromFailure(failure: WorkerFailure): Error {
  const { code, message, details, errno } = failure
  const cause = failure.cause === undefined ? {} : { cause: failure.cause }
  if (code !== null) return new WorkspaceError(code, message, { details, ...cause })
  return Object.assign(new Error(message, cause), errno === null ? {} : { code: errno })
}
