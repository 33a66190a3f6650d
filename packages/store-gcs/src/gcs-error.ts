import {
  askedDelay,
  callFailure,
  errnoOf,
  foreignAnswer,
  missingBucket,
  refusalFailure,
  statusMeanings,
  type HttpResponse,
  type Meaning,
  type StoreCall,
  type WorkspaceError,
} from '@ws/core'

const statuses: Readonly<Record<number, Meaning>> = {
  ...statusMeanings,
  403: [
    'ACCESS_DENIED',
    'the credentials do not allow it; grant them the role Storage Object User on the bucket',
  ],
  412: ['CONFLICT', 'a condition does not hold'],
  429: ['UNAVAILABLE', 'the service lets one object change about once a second; write to it less often'],
}

/** What the service asks for where it does not say how long: one object changes about once a second. */
const BUSY_PAUSE_MS = 1_000

/** Reasons of the service that say more than the status. */
const reasons: Readonly<Record<string, Meaning>> = {
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
  call: StoreCall,
  bucket: string,
): Promise<WorkspaceError> {
  const { status } = response
  const problem = parseProblem(await response.text().catch(() => ''))
  const asked = { ...(status === 429 ? { retryAfterMs: BUSY_PAUSE_MS } : {}), ...askedDelay(response.header) }
  if (status >= 500)
    return callFailure(call, 'UNAVAILABLE', 'the service has a problem; try again', { status, ...asked })
  // Whoever says that it is too much is right.
  if (problem === undefined && status !== 413 && status !== 429) return notTheService(call, status)
  const { reason = '', message = '' } = problem ?? {}
  const details = {
    status,
    ...asked,
    ...(reason === '' ? {} : { reason }),
    ...(status === 404 ? { bucket } : {}),
  }
  if (status === 400 && /hash|checksum|crc32c|md5/i.test(message))
    return callFailure(
      call,
      'CORRUPT',
      'the bytes that arrived are not those that were sent; try again',
      details,
    )
  const byStatus = problem === undefined ? statusMeanings : statuses
  const known =
    (Object.hasOwn(reasons, reason) ? reasons[reason] : undefined) ??
    (status === 404 ? missingBucket(bucket) : byStatus[status])
  if (known === undefined) return callFailure(call, 'UNAVAILABLE', `the service answered ${status}`, details)
  return refusalFailure(call, known, message, details)
}

/** The answer of something in between: a captive portal, a proxy, a wrong address. */
export function notTheService(call: StoreCall, status: number): WorkspaceError {
  return foreignAnswer(call, 'Google Cloud Storage', status)
}

/**
 * No token was to be had. The original is not kept: the SDK's errors hold the request, and with it keys and
 * assertions.
 */
export function credentialFailure(error: unknown, call: StoreCall): WorkspaceError {
  const errno = errnoOf(error)
  const isOutage = errno !== undefined && /^(E[A-Z]+|UND_ERR.*|5\d\d)$/.test(errno) && !/^ENOENT$/.test(errno)
  return isOutage
    ? callFailure(
        call,
        'UNAVAILABLE',
        `the service for access tokens cannot be reached (${errno}); try again`,
      )
    : callFailure(
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
    ? callFailure(call, 'UNAVAILABLE', 'the signing service cannot be reached; try again')
    : callFailure(
        call,
        'ACCESS_DENIED',
        'the credentials hold no private key and may not sign; use a service account, or grant the role Service Account Token Creator',
      )
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
