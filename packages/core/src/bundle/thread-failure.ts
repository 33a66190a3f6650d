import { WorkspaceError, type ErrorCode, type ErrorDetails } from '../errors.ts'
import { errnoOf } from '../filesystem/filesystem-error.ts'

/** An error in a shape that survives the way between threads. */
export interface ThreadFailure {
  readonly code: ErrorCode | null
  readonly message: string
  readonly details: ErrorDetails
  readonly errno: string | null
  readonly cause: unknown
}

export function toFailure(error: unknown): ThreadFailure {
  const message = error instanceof Error ? error.message : String(error)
  if (WorkspaceError.is(error)) {
    return { code: error.code, message, details: error.details, errno: null, cause: plainCause(error.cause) }
  }
  return { code: null, message, details: {}, errno: errnoOf(error) ?? null, cause: plainCause(error) }
}

/** The error that `toFailure` packed. */
export function fromFailure({ code, message, details, errno, cause }: ThreadFailure): Error {
  const options = cause === undefined ? {} : { cause: Object.assign(new Error('in a thread'), cause) }
  if (code !== null) return new WorkspaceError(code, message, { details, ...options })
  return Object.assign(new Error(message, options), errno === null ? {} : { code: errno })
}

function plainCause(cause: unknown): unknown {
  if (!(cause instanceof Error)) return undefined
  return { message: cause.message, code: errnoOf(cause), stack: cause.stack }
}
