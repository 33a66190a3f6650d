import { WorkspaceError, plainCause, redactSecrets, type ErrorCode } from '@ws/core'

/** What a failed call was about. */
export interface FailedCall {
  readonly action: string
  readonly key: string
}

/** A refusal of the service: HTTP 400 whatever it is; what it is stands in the body. */
export interface SupabaseProblem {
  /** The body's `statusCode` if there is one, else the status of HTTP. */
  readonly code: number
  readonly error: string
  /** The name of the refusal: `NoSuchKey`, `AccessDenied`; older versions give none. */
  readonly name: string
  readonly message: string
}

const MAX_SHOWN_CHARACTERS = 200

const meanings: Readonly<Record<number, readonly [ErrorCode, string]>> = {
  400: ['INVALID_INPUT', 'the service does not accept the request'],
  401: ['ACCESS_DENIED', 'the key or token is missing or not valid; check it, and the clock of this machine'],
  402: ['QUOTA_EXCEEDED', 'the project is restricted, because it is over its quota; see its usage page'],
  403: [
    'ACCESS_DENIED',
    'the key or token is not valid or has expired, or the policies of storage.objects do not allow it',
  ],
  404: ['NOT_FOUND', 'the bucket does not exist; create it, or correct its name'],
  408: ['TIMEOUT', 'the service waited too long'],
  409: ['CONFLICT', 'another writer was faster'],
  413: [
    'QUOTA_EXCEEDED',
    'it is larger than the bucket or the project allows; raise the limit on the size of files',
  ],
  414: ['INVALID_INPUT', 'the key is too long for the service; use a shorter one'],
  431: ['INVALID_INPUT', 'the metadata and the key are too long for the service; give less'],
  415: ['INVALID_INPUT', 'the bucket does not take this content type; allow it, or give another one'],
  416: ['INVALID_INPUT', 'the object has no such range'],
  423: ['BUSY', 'another request holds the upload; try again'],
  429: ['UNAVAILABLE', 'too many requests; make fewer'],
  544: ['TIMEOUT', 'the database of the project did not answer in time; try again'],
}

/** Reads a refusal. @throws `UNAVAILABLE` when it is an outage, or not the service's */
export async function readProblem(response: Response, call: FailedCall): Promise<SupabaseProblem> {
  const { status } = response
  const type = response.headers.get('content-type') ?? ''
  const text = status === 304 ? '' : await response.text().catch(() => '')
  // Uploads in parts are refused in plain text, by the protocol's own statuses.
  if (type.startsWith('text/plain') && status >= 400 && status < 500)
    return { code: status, error: '', name: '', message: text.trim() }
  try {
    const { statusCode, error, message, code: name } = JSON.parse(text) as Readonly<Record<string, unknown>>
    const code = Number(statusCode ?? status)
    if (typeof message === 'string' && Number.isInteger(code))
      return { code, error: textOf(error), name: textOf(name), message }
  } catch {
    // It is not the service's.
  }
  // Node's own server, and what stands before it, answer so without a body.
  if (status === 414 || status === 431) return { code: status, error: '', name: '', message: '' }
  if (status >= 500) throw failure(call, 'UNAVAILABLE', 'the service has a problem; try again', { status })
  throw notTheService(call, status)
}

/** Whether the service says that there is no such object, as far as these credentials can see. */
export function isNoSuchObject({ code, error, name, message }: SupabaseProblem): boolean {
  return (
    code === 404 && (name === 'NoSuchKey' || error === 'not_found' || /^object not found$/i.test(message))
  )
}

/** Puts a refusal into the error table. */
export function problemFailure(
  { code, error, message }: SupabaseProblem,
  call: FailedCall,
  bucket: string,
): WorkspaceError {
  const details = {
    status: code,
    // Only what can be one.
    ...(/^[\w ]{1,60}$/.test(error) ? { reason: error } : {}),
    bucket,
  }
  const isRowSecurity = /row-level security/i.test(message)
  if (isRowSecurity)
    return failure(
      call,
      'ACCESS_DENIED',
      'the row-level security policies of storage.objects do not allow it; add a policy for the role',
      details,
    )
  // Some versions refuse a token with 400 and say so only in words.
  if (code === 400 && /jwt|authorization|signature|"exp" claim/i.test(`${error} ${message}`))
    return failure(call, 'ACCESS_DENIED', meanings[401]?.[1] ?? '', details)
  const known = meanings[code]
  if (known === undefined)
    return failure(call, 'UNAVAILABLE', `the service answered with ${code}; try again`, details)
  const [errorCode, meaning] = known
  const says =
    errorCode === 'INVALID_INPUT' && message !== ''
      ? ` ("${redactSecrets(message.slice(0, MAX_SHOWN_CHARACTERS))}")`
      : ''
  return failure(call, errorCode, meaning + says, details)
}

/** The answer of something in between: a captive portal, a proxy, a wrong address. */
export function notTheService(call: FailedCall, status: number): WorkspaceError {
  const reason = 'the answer is not from Supabase Storage; look for a proxy, a login page or a wrong URL'
  return failure(call, 'UNAVAILABLE', reason, { status })
}

/** The connection failed. Whether a put was carried out stays open. */
export function networkFailure(error: unknown, call: FailedCall): WorkspaceError {
  const errno = errnoOf(error)
  // The message of such an error holds the header: it is not kept.
  if (errno === undefined && error instanceof TypeError && /header/i.test(error.message))
    return failure(
      call,
      'INVALID_INPUT',
      'the key or another header of the client holds what no header can, such as a line break; correct it',
    )
  const isTimeout = /TIMEOUT|TIMEDOUT/.test(errno ?? '')
  const reason = isTimeout ? 'the service did not answer in time' : 'the connection failed'
  return new WorkspaceError(
    isTimeout ? 'TIMEOUT' : 'UNAVAILABLE',
    `Cannot ${call.action} ${shown(call.key)}: ${reason}${errno === undefined ? '' : ` (${errno})`}; try again.`,
    { cause: plainCause(error), details: { key: call.key, ...(errno === undefined ? {} : { errno }) } },
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

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : ''
}

/** The first system code in an error and its causes: `fetch` wraps what happened. */
function errnoOf(error: unknown): string | undefined {
  for (let at = error, depth = 0; at instanceof Error && depth < 5; at = at.cause, depth += 1)
    if ('code' in at && typeof at.code === 'string') return at.code
  return undefined
}

function shown(text: string): string {
  return JSON.stringify(text.length > 100 ? `${text.slice(0, 100)}…` : text)
}
