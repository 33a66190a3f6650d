import {
  askedDelay,
  callFailure,
  connectionFailure,
  errnoOf,
  foreignAnswer,
  missingBucket,
  readText,
  refusalFailure,
  statusMeanings,
  type Meaning,
  type StoreCall,
  type WorkspaceError,
} from '@ws/core'

/** A refusal of the service: HTTP 400 whatever it is; what it is stands in the body. */
export interface SupabaseProblem {
  /** The body's `statusCode` if there is one, else the status of HTTP. */
  readonly code: number
  readonly error: string
  /** The name of the refusal: `NoSuchKey`, `AccessDenied`; older versions give none. */
  readonly name: string
  readonly message: string
  /** How long the service asks to wait. */
  readonly retryAfterMs?: number
}

const meanings: Readonly<Record<number, Meaning>> = {
  ...statusMeanings,
  401: ['ACCESS_DENIED', 'the key or token is missing or not valid; check it, and the clock of this machine'],
  402: ['QUOTA_EXCEEDED', 'the project is restricted, because it is over its quota; see its usage page'],
  403: [
    'ACCESS_DENIED',
    'the key or token is not valid or has expired, or the policies of storage.objects do not allow it',
  ],
  409: ['CONFLICT', 'another writer was faster'],
  413: [
    'QUOTA_EXCEEDED',
    'it is larger than the bucket or the project allows; raise the limit on the size of files',
  ],
  415: ['INVALID_INPUT', 'the bucket does not take this content type; allow it, or give another one'],
  423: ['BUSY', 'another request holds the upload; try again'],
  544: ['TIMEOUT', 'the database of the project did not answer in time; try again'],
}

/** Reads a refusal. @throws `UNAVAILABLE` when it is an outage, or not the service's */
export async function readProblem(response: Response, call: StoreCall): Promise<SupabaseProblem> {
  const { status } = response
  const type = response.headers.get('content-type') ?? ''
  const asked = askedDelay((header) => response.headers.get(header))
  const text = status === 304 ? '' : await readText(response.body ?? ReadableStream.from([])).catch(() => '')
  // Uploads in parts are refused in plain text, by the protocol's own statuses.
  if (type.startsWith('text/plain') && status >= 400 && status < 500)
    return { code: status, error: '', name: '', message: text.trim(), ...asked }
  try {
    const { statusCode, error, message, code: name } = JSON.parse(text) as Readonly<Record<string, unknown>>
    const code = Number(statusCode ?? status)
    if (typeof message === 'string' && Number.isInteger(code))
      return { code, error: textOf(error), name: textOf(name), message, ...asked }
  } catch {
    // It is not the service's.
  }
  // Node's own server, and what stands before it, answer so without a body.
  if ([413, 414, 429, 431].includes(status))
    return { code: status, error: '', name: '', message: '', ...asked }
  if (status >= 500)
    throw callFailure(call, 'UNAVAILABLE', 'the service has a problem; try again', { status, ...asked })
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
  { code, error, message, retryAfterMs }: SupabaseProblem,
  call: StoreCall,
  bucket: string,
): WorkspaceError {
  const details = {
    status: code,
    // Only what can be one.
    ...(/^[\w ]{1,60}$/.test(error) ? { reason: error } : {}),
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    bucket,
  }
  const isRowSecurity = /row-level security/i.test(message)
  if (isRowSecurity)
    return callFailure(
      call,
      'ACCESS_DENIED',
      'the row-level security policies of storage.objects do not allow it; add a policy for the role',
      details,
    )
  // Some versions refuse a token with 400 and say so only in words.
  if (code === 400 && /jwt|authorization|signature|"exp" claim/i.test(`${error} ${message}`))
    return callFailure(call, 'ACCESS_DENIED', meanings[401]?.[1] ?? '', details)
  // A gateway that knows no such way to the service, or the service itself: the path of the request may name an object.
  if (
    code === 404 &&
    (message.startsWith('Route ') || !/bucket|related resource|object/i.test(`${error} ${message}`))
  )
    return notTheService(call, code)
  const known = code === 404 ? missingBucket(bucket) : meanings[code]
  if (known === undefined)
    return callFailure(call, 'UNAVAILABLE', `the service answered with ${code}; try again`, details)
  return refusalFailure(call, known, message, details)
}

/** The answer of something in between: a captive portal, a proxy, a wrong address. */
export function notTheService(call: StoreCall, status: number): WorkspaceError {
  return foreignAnswer(call, 'Supabase Storage', status)
}

/** The connection failed. Whether a put was carried out stays open. */
export function networkFailure(error: unknown, call: StoreCall): WorkspaceError {
  // The message of such an error holds the header: it is not kept.
  if (errnoOf(error) === undefined && error instanceof TypeError && /header/i.test(error.message))
    return callFailure(
      call,
      'INVALID_INPUT',
      'the key or another header of the client holds what no header can, such as a line break; correct it',
    )
  return connectionFailure(call, error)
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : ''
}
