import { describeValue } from './describe-value.ts'
import { assertNodeVersion } from './node-version.ts'

assertNodeVersion()

/**
 * Every way in which this library can fail, and whether trying the same call again makes sense.
 *
 * Adapters translate what their SDK throws into one of these at their own boundary and keep the
 * original as `cause`. An outage is `UNAVAILABLE` or `TIMEOUT`; it is never reported as absence.
 * Cancellation is not in this table: an aborted call rejects with its signal's own reason.
 */
export const errorCodes = {
  NOT_FOUND: { retryable: false, meaning: 'The thing that was named does not exist.' },
  ALREADY_EXISTS: { retryable: false, meaning: 'The thing to be created is there already.' },
  CONFLICT: { retryable: false, meaning: 'The state changed since it was read; read it again, then decide.' },
  INVALID_INPUT: { retryable: false, meaning: 'An argument, option or name is not acceptable.' },
  UNSAFE_PATH: { retryable: false, meaning: 'A path would leave the directory that it belongs to.' },
  CORRUPT: { retryable: false, meaning: 'Stored bytes are not what was written.' },
  ACCESS_DENIED: { retryable: false, meaning: 'The credentials or the file permissions do not allow this.' },
  QUOTA_EXCEEDED: { retryable: false, meaning: 'A limit on bytes, entries or space would be passed.' },
  UNSUPPORTED: { retryable: false, meaning: 'This store, backend or machine cannot do what was asked.' },
  UNAVAILABLE: { retryable: true, meaning: 'A service or device did not answer properly.' },
  TIMEOUT: { retryable: true, meaning: 'The time allowed for the call ran out.' },
  BUSY: { retryable: true, meaning: 'Somebody else is using the workspace right now.' },
  INTERNAL: { retryable: false, meaning: 'A defect in this library, or something nobody foresaw.' },
} as const satisfies Record<string, { retryable: boolean; meaning: string }>

/** See {@link errorCodes}. */
export type ErrorCode = keyof typeof errorCodes

/** Facts of an error for programs. JSON-safe. */
export type ErrorDetails = Readonly<Record<string, string | number | boolean | null | readonly string[]>>

/** For callers without types. */
function unknownCode(code: unknown): TypeError {
  const codes = Object.keys(errorCodes).join(', ')
  return new TypeError(`A WorkspaceError has no code ${describeValue(code)}. There are: ${codes}.`)
}

const marker = Symbol.for('@ws/core/WorkspaceError')

/**
 * The one error class of every `@ws/*` package.
 *
 * The message says what failed, on which thing, and what to do about it. It holds no secret.
 * Test for it with {@link WorkspaceError.is}: `instanceof` fails across two installed copies.
 */
export class WorkspaceError extends Error {
  readonly code: ErrorCode
  /** Facts for programs: keys, paths, limits. JSON-safe, free of secrets. */
  readonly details: ErrorDetails
  /** Whether the same call may succeed when it is simply made again. */
  readonly retryable: boolean

  constructor(code: ErrorCode, message: string, options: { cause?: unknown; details?: ErrorDetails } = {}) {
    if (!Object.hasOwn(errorCodes, code)) throw unknownCode(code)
    super(message, 'cause' in options ? { cause: options.cause } : undefined)
    this.name = 'WorkspaceError'
    this.code = code
    this.details = options.details ?? {}
    this.retryable = errorCodes[code].retryable
    Object.defineProperty(this, marker, { value: true })
  }

  /** True for a WorkspaceError of any installed copy of this package, and of this code when one is given. */
  static is(error: unknown, code?: ErrorCode): error is WorkspaceError {
    if (typeof error !== 'object' || error === null || !(marker in error)) return false
    return code === undefined || ('code' in error && error.code === code)
  }

  /** `JSON.stringify` of a plain Error loses its message; this keeps code, message and details (not the cause). */
  toJSON(): { code: ErrorCode; message: string; retryable: boolean; details: ErrorDetails } {
    return { code: this.code, message: this.message, retryable: this.retryable, details: this.details }
  }
}
