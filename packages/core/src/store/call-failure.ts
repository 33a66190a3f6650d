import { WorkspaceError, type ErrorCode } from '../errors.ts'
import { plainCause, redactSecrets } from './plain-cause.ts'

const MAX_SHOWN_CHARACTERS = 100
/** Some days; who asks for more does not mean it. */
const MAX_ASKED_MS = 1_000_000_000
const MAX_QUOTED_CHARACTERS = 300
const MAX_READ_CHARACTERS = 20_000

/** What a call of a store was about, for its messages. */
export interface StoreCall {
  /** A verb: `read`, `put`, `delete`, `list`. */
  readonly action: string
  /** The key, or the prefix of a list. */
  readonly key: string
}

/** A code, and the rest of a sentence: what is wrong, and what to do about it. */
export type Meaning = readonly [code: ErrorCode, reason: string]

/** For adapters: what statuses of HTTP mean at a storage service, where it says no more or nothing else. A 404 means too many things. */
export const statusMeanings: Readonly<Record<number, Meaning>> = {
  400: ['INVALID_INPUT', 'the service does not accept the request'],
  401: [
    'ACCESS_DENIED',
    'the credentials are not valid or have expired; sign in again or renew them, and check the clock of this machine',
  ],
  403: ['ACCESS_DENIED', 'the credentials do not allow it'],
  407: ['ACCESS_DENIED', 'a proxy wants credentials'],
  408: ['TIMEOUT', 'the service waited too long for the request; try again'],
  413: ['QUOTA_EXCEEDED', 'it is larger than the service allows'],
  414: ['INVALID_INPUT', 'the key is too long for the service; use a shorter one'],
  416: ['INVALID_INPUT', 'the object has no such range'],
  429: ['UNAVAILABLE', 'too many requests; make fewer'],
  431: ['INVALID_INPUT', 'the metadata and the key are too long for the service; give less'],
  501: ['UNSUPPORTED', 'the service lacks what was asked for'],
  507: ['QUOTA_EXCEEDED', 'the storage is full or its quota is used up; free space or raise it'],
}

/** For adapters: what the absence of a bucket means, in the service's word for one. */
export function missingBucket(bucket: string, word = 'bucket'): Meaning {
  return ['NOT_FOUND', `the ${word} ${quoteKey(bucket)} does not exist; create it, or correct its name`]
}

/** For adapters: what a service's names of refusals mean, from groups of those that mean the same. */
export function meaningsByName(
  groups: readonly (readonly [meaning: Meaning, ...names: string[]])[],
): ReadonlyMap<string, Meaning> {
  return new Map(groups.flatMap(([meaning, ...names]) => names.map((name) => [name, meaning] as const)))
}

/** For adapters: what a refusal means whose name is in no table, by its status. Only the service's words say more. */
export function unknownRefusal(status: number): Meaning {
  if (status === 404) return ['NOT_FOUND', 'what the request names does not exist']
  if (status === 405) return ['UNSUPPORTED', 'the service does not allow this here']
  const byStatus = statusMeanings[status]
  if (byStatus !== undefined) return byStatus
  return status >= 500
    ? ['UNAVAILABLE', 'the service failed; try again']
    : ['INTERNAL', 'the service refuses the request for a reason that is not known here']
}

/** For adapters: ` ("<what the service says>")`, in one line, shortened, without secrets; empty when it says nothing. */
export function serviceWords(message: string, secrets: readonly string[] = []): string {
  // Shortened last: half a credential would not be found.
  const clean = redactSecrets(message.slice(0, MAX_READ_CHARACTERS), secrets)
  const words = clean.replaceAll(/[\s\p{Cc}]+/gu, ' ').trim()
  return words === '' ? '' : ` ("${words.slice(0, MAX_QUOTED_CHARACTERS)}")`
}

/** For adapters: `Cannot put "a/b": <reason>.` */
export function callFailure(
  { action, key }: StoreCall,
  code: ErrorCode,
  reason: string,
  details: Readonly<Record<string, string | number>> = {},
  cause?: unknown,
): WorkspaceError {
  return new WorkspaceError(code, `Cannot ${action} ${quoteKey(key)}: ${reason}.`, {
    ...(cause === undefined ? {} : { cause: plainCause(cause) }),
    details: { key, ...details },
  })
}

/** For adapters: the same for a refusal, with the service's own words where the request is what was wrong. */
export function refusalFailure(
  call: StoreCall,
  [code, reason]: Meaning,
  message: string,
  details: Readonly<Record<string, string | number>>,
): WorkspaceError {
  const words = code === 'INVALID_INPUT' || code === 'INTERNAL' ? serviceWords(message) : ''
  return callFailure(call, code, reason + words, details)
}

/** For adapters: the connection failed. Whether a put was carried out stays open. */
export function connectionFailure(call: StoreCall, error: unknown): WorkspaceError {
  const errno = errnoOf(error)
  const [code, reason] = connectionMeaning(errno)
  if (errno === undefined) return callFailure(call, code, reason, {}, error)
  return callFailure(call, code, `${reason} (${errno})`, { errno }, error)
}

/** For adapters: what it means that a connection failed with this code of Node's, and what to do about it. */
export function connectionMeaning(errno = ''): Meaning {
  if (errno === 'ECONNREFUSED')
    return ['UNAVAILABLE', 'nothing listens at the address; check it, and whether the service runs']
  if (errno === 'ENOTFOUND' || errno === 'EAI_AGAIN')
    return ['UNAVAILABLE', 'the name of the host was not found; check the address, a region in it, and the network'] // prettier-ignore
  if (errno === 'EPROTO' || errno.startsWith('ERR_SSL_'))
    return ['UNAVAILABLE', 'what answered does not speak TLS; check whether the address begins with http: or https:, its port, and the proxies before it'] // prettier-ignore
  if (/CERT|^UNABLE_TO_/.test(errno))
    return ['UNAVAILABLE', 'the certificate of the service is not trusted; check the address and the clock of this machine, or name its authority in NODE_EXTRA_CA_CERTS'] // prettier-ignore
  if (/TIMEOUT|TIMEDOUT/.test(errno)) return ['TIMEOUT', 'the service did not answer in time; try again']
  return ['UNAVAILABLE', 'the connection failed; try again']
}

/**
 * For adapters: how long an answer asks to wait (its `Retry-After`, in seconds or until a time), as the detail that
 * repetitions go by.
 */
export function askedDelay(header: (name: string) => string | null | undefined): {
  readonly retryAfterMs?: number
} {
  const asked = header('retry-after') ?? ''
  // A time is one of the clock of who says it, which need not be that of this machine.
  const milliseconds = /^\d+$/.test(asked)
    ? Number(asked) * 1_000
    : Math.max(0, httpTime(asked) - (httpTime(header('date')) || Date.now()))
  return milliseconds <= MAX_ASKED_MS ? { retryAfterMs: milliseconds } : {}
}

/** `NaN` for what is no time as HTTP writes them. */
function httpTime(text: string | null | undefined): number {
  return /^[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} [\d:]{8} GMT$/.test(text ?? '')
    ? Date.parse(text ?? '')
    : Number.NaN
}

/** For adapters: the answer of something in between: a captive portal, a proxy, a wrong address. */
export function foreignAnswer(call: StoreCall, service: string, status: number): WorkspaceError {
  const reason = `the answer is not from ${service}; look for a proxy, a login page or a wrong address`
  return callFailure(call, 'UNAVAILABLE', reason, { status })
}

/** For adapters: what is stored is not what was put. */
export function damagedContent(key: string, reason: string): WorkspaceError {
  return new WorkspaceError('CORRUPT', `The object ${quoteKey(key)} is damaged: ${reason}.`, {
    details: { key },
  })
}

/** The first system code in an error and its causes: clients wrap what happened. */
export function errnoOf(error: unknown): string | undefined {
  for (let at = error, depth = 0; at instanceof Error && depth < 5; at = at.cause, depth += 1)
    if ('code' in at && (typeof at.code === 'string' || typeof at.code === 'number')) return String(at.code)
  return undefined
}

/** For adapters: a key as messages show it; an empty one is the prefix of a list. */
export function quoteKey(key: string): string {
  if (key === '') return 'all keys'
  return JSON.stringify(key.length > MAX_SHOWN_CHARACTERS ? `${key.slice(0, MAX_SHOWN_CHARACTERS)}…` : key)
}
