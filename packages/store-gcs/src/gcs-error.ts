import { WorkspaceError, plainCause, redactSecrets, type ErrorCode } from '@ws/core'
import type { HttpResponse } from './send-request.ts'

/** What a failed call was about. */
export interface FailedCall {
  readonly action: string
  readonly key: string
}

const MAX_SHOWN_CHARACTERS = 300

const statuses: Readonly<Record<number, readonly [ErrorCode, string]>> = {
  400: ['INVALID_INPUT', 'the service does not accept the request'],
  401: ['ACCESS_DENIED', 'the credentials are not valid or have expired; sign in again or renew them'],
  403: [
    'ACCESS_DENIED',
    'the credentials do not allow it; grant them the role Storage Object User on the bucket',
  ],
  404: ['NOT_FOUND', 'the bucket does not exist; create it, or correct its name'],
  408: ['TIMEOUT', 'the service waited too long for the request'],
  412: ['CONFLICT', 'a condition does not hold'],
  413: ['QUOTA_EXCEEDED', 'the object is larger than the service allows'],
  416: ['INVALID_INPUT', 'the object has no such range'],
  429: ['UNAVAILABLE', 'the service lets one object change about once a second; write to it less often'],
}

/** Reasons of the service that say more than the status. */
const reasons: Readonly<Record<string, readonly [ErrorCode, string]>> = {
  quotaExceeded: ['QUOTA_EXCEEDED', 'a quota of the project is used up'],
  dailyLimitExceeded: ['QUOTA_EXCEEDED', 'the daily quota of the project is used up'],
  userRateLimitExceeded: ['UNAVAILABLE', 'too many requests; make fewer'],
  rateLimitExceeded: [
    'UNAVAILABLE',
    'too many requests, or one object changes more than about once a second; make fewer',
  ],
  retentionPolicyNotMet: [
    'ACCESS_DENIED',
    'a retention policy or a hold protects the object; wait for its end',
  ],
  objectUnderActiveHold: ['ACCESS_DENIED', 'a hold protects the object; release it first'],
  accountDisabled: ['ACCESS_DENIED', 'the billing account of the project is disabled'],
  userProjectMissing: ['INVALID_INPUT', 'the requester pays for this bucket; give it a userProject'],
}

/** Puts an answer that is no success into the error table. */
export async function responseFailure(
  response: HttpResponse,
  call: FailedCall,
  bucket: string,
): Promise<WorkspaceError> {
  const { status } = response
  const problem = parseProblem(await response.text().catch(() => ''))
  if (status >= 500) return failure(call, 'UNAVAILABLE', 'the service has a problem; try again', { status })
  if (problem === undefined) return notTheService(call, status)
  const { reason = '', message = '' } = problem
  const details = { status, ...(reason === '' ? {} : { reason }), ...(status === 404 ? { bucket } : {}) }
  if (status === 400 && /hash|checksum|crc32c|md5/i.test(message))
    return failure(call, 'CORRUPT', 'the bytes that arrived are not those that were sent; try again', details)
  const known = (Object.hasOwn(reasons, reason) ? reasons[reason] : undefined) ?? statuses[status]
  if (known === undefined) return failure(call, 'UNAVAILABLE', `the service answered ${status}`, details)
  const [code, meaning] = known
  const says =
    code === 'INVALID_INPUT' && message !== ''
      ? ` ("${redactSecrets(message.slice(0, MAX_SHOWN_CHARACTERS))}")`
      : ''
  return failure(call, code, meaning + says, details)
}

/** The answer of something in between: a captive portal, a proxy, a wrong address. */
export function notTheService(call: FailedCall, status: number): WorkspaceError {
  const reason =
    'the answer is not from Google Cloud Storage; look for a proxy, a login page or a wrong apiEndpoint'
  return failure(call, 'UNAVAILABLE', reason, { status })
}

/** The connection failed. Whether a put was carried out stays open. */
export function networkFailure(error: unknown, call: FailedCall): WorkspaceError {
  const errno = errnoOf(error)
  const isTimeout = /TIMEOUT|TIMEDOUT/.test(errno ?? '')
  const reason = isTimeout ? 'the service did not answer in time' : 'the connection failed'
  return new WorkspaceError(
    isTimeout ? 'TIMEOUT' : 'UNAVAILABLE',
    `Cannot ${call.action} ${shown(call.key)}: ${reason}${errno === undefined ? '' : ` (${errno})`}; try again.`,
    { cause: plainCause(error), details: { key: call.key, ...(errno === undefined ? {} : { errno }) } },
  )
}

/**
 * No token was to be had. The original is not kept: the SDK's errors hold the request, and with it keys and
 * assertions.
 */
export function credentialFailure(error: unknown, call: FailedCall): WorkspaceError {
  const errno = errnoOf(error)
  const isOutage = errno !== undefined && /^(E[A-Z]+|UND_ERR.*|5\d\d)$/.test(errno) && !/^ENOENT$/.test(errno)
  return isOutage
    ? failure(call, 'UNAVAILABLE', `the service for access tokens cannot be reached (${errno}); try again`)
    : failure(
        call,
        'ACCESS_DENIED',
        'the credentials give no access token; check that they are there, that they are still valid, and that the clock is right',
      )
}

/** No URL could be signed. The original is not kept, for the same reason. */
export function signingFailure(error: unknown, key: string): WorkspaceError {
  const message = error instanceof Error ? error.message : ''
  const call = { action: 'sign a URL for', key }
  return /ECONN|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|socket|network/i.test(message)
    ? failure(call, 'UNAVAILABLE', 'the signing service cannot be reached; try again')
    : failure(
        call,
        'ACCESS_DENIED',
        'the credentials hold no private key and may not sign; use a service account, or grant the role Service Account Token Creator',
      )
}

export function corrupt(key: string, reason: string): WorkspaceError {
  return new WorkspaceError('CORRUPT', `The object ${shown(key)} is damaged: ${reason}.`, {
    details: { key },
  })
}

export function failure(
  { action, key }: FailedCall,
  code: ErrorCode,
  reason: string,
  details: Readonly<Record<string, string | number>> = {},
): WorkspaceError {
  return new WorkspaceError(code, `Cannot ${action} ${shown(key)}: ${reason}.`, {
    details: { key, ...details },
  })
}

function parseProblem(text: string): { reason?: string; message?: string } | undefined {
  try {
    const { error } = JSON.parse(text) as { error?: { message?: string; errors?: { reason?: string }[] } }
    if (typeof error !== 'object' || error === null) return undefined
    const reason = error.errors?.[0]?.reason
    return {
      // Only what can be one: it goes into the details.
      ...(typeof reason === 'string' && /^[\w-]{1,60}$/.test(reason) ? { reason } : {}),
      ...(typeof error.message === 'string' ? { message: error.message } : {}),
    }
  } catch {
    return undefined
  }
}

/** The first system code in an error and its causes: `fetch` wraps what happened. */
function errnoOf(error: unknown): string | undefined {
  for (let at = error, depth = 0; at instanceof Error && depth < 5; at = at.cause, depth += 1)
    if ('code' in at && (typeof at.code === 'string' || typeof at.code === 'number')) return String(at.code)
  return undefined
}

function shown(text: string): string {
  return JSON.stringify(text.length > 100 ? `${text.slice(0, 100)}…` : text)
}
