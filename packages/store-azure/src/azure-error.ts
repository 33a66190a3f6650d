import {
  WorkspaceError,
  askedDelay,
  connectionMeaning,
  errnoOf,
  missingBucket,
  plainCause,
  quoteKey,
  serviceWords,
  statusMeanings,
  unknownRefusal,
  type Meaning,
  type StoreCall,
} from '@ws/core'
import { damagedOnTheWay, meanings, noToken } from './azure-error-meanings.ts'

const NOT_FROM_SERVICE =
  'the answer did not come from the service; check the endpoint, and the proxies before it'

export interface CallAbout extends StoreCall {
  readonly container: string
}

export function callAbout(
  { containerName }: { readonly containerName: string },
  action: string,
  key: string,
): CallAbout {
  return { action, key, container: containerName }
}

/** Only this code is absence: a 404 without it may come from anywhere between here and the service. */
export function isAbsence(error: unknown): boolean {
  return statusOf(error) === 404 && serviceCodeOf(error) === 'BlobNotFound'
}

export function isConditionFailure(error: unknown): boolean {
  const code = serviceCodeOf(error)
  if (code === 'LeaseIdMissing' || code === 'LeaseLost') return false
  return (
    code === 'BlobAlreadyExists' || code === 'ConditionNotMet' || (code === null && statusOf(error) === 412)
  )
}

/** Whether the blocks that were staged are no longer there, because another writer committed or replaced the blob. */
export function isLostBlocks(error: unknown): boolean {
  const code = serviceCodeOf(error)
  return code === 'InvalidBlockList' || code === 'InvalidBlobOrBlock'
}

/** Puts what the SDK throws into the error table. An abort becomes the signal's reason. */
export function toStoreError(
  error: unknown,
  { action, key, container }: CallAbout,
  signal?: AbortSignal,
): unknown {
  if (signal?.aborted === true) return signal.reason
  if (WorkspaceError.is(error)) return error
  const service = serviceCodeOf(error)
  const status = statusOf(error)
  const [code, reason] =
    service === 'ContainerNotFound'
      ? missingBucket(container, 'container')
      : translate(error, service, status)
  const what = key === '' ? `container ${quoteKey(container)}` : quoteKey(key)
  const errno = status === null ? errnoOf(error) : undefined
  const name = service ?? errno
  const message = `Cannot ${action} ${what} in Azure: ${reason}${name === undefined ? '' : ` (${name})`}.`
  const details = {
    key,
    container,
    ...(status === null ? {} : { status }),
    ...(service === null ? {} : { serviceCode: service }),
    ...(errno === undefined ? {} : { errno }),
    ...retryAfterOf(error),
  }
  return new WorkspaceError(code, message, { cause: plainCause(error), details })
}

/** What the call gives, or `null` when the service says for certain that there is no such blob. */
export async function nullIfAbsent<T>(
  call: () => Promise<T>,
  about: CallAbout,
  signal: AbortSignal | undefined,
): Promise<T | null> {
  try {
    return await call()
  } catch (error) {
    if (signal?.aborted !== true && isAbsence(error)) return null
    throw toStoreError(error, about, signal)
  }
}

/** The SDK's name for a signal. */
export function abortBy(signal: AbortSignal | undefined): { abortSignal?: AbortSignal } {
  return signal === undefined ? {} : { abortSignal: signal }
}

/** For an answer that cannot have come from the service, such as the login page of a network. */
export function notFromService(action: string, key: string, cause?: unknown): WorkspaceError {
  return new WorkspaceError(
    'UNAVAILABLE',
    `Cannot ${action} ${quoteKey(key)} in Azure: ${NOT_FROM_SERVICE}.`,
    { ...(cause === undefined ? {} : { cause: plainCause(cause) }), details: { key } },
  )
}

function translate(error: unknown, service: string | null, status: number | null): Meaning {
  if (isSignInFailure(error)) return noToken
  const message = error instanceof Error ? error.message : ''
  // What the emulator says in the place of Md5Mismatch.
  if (service === 'InvalidOperation' && /contentMD5/i.test(message)) return damagedOnTheWay
  const known = service === null ? undefined : meanings.get(service)
  if (known !== undefined) return known
  if (status !== null) {
    if (service !== null && status >= 400) {
      const [code, reason] = unknownRefusal(status)
      // Below it are the id and the time of the request.
      return [code, reason + serviceWords(message.split('\n', 1)[0] ?? '')]
    }
    if (status === 404) return ['UNAVAILABLE', 'something before the service answered "not found"']
    // The service names each of its own.
    const byStatus = status === 400 || status === 416 ? undefined : statusMeanings[status]
    if (byStatus !== undefined) return byStatus
    if (status >= 500) return ['UNAVAILABLE', `the service answered with ${status}; try again later`]
    return ['UNAVAILABLE', NOT_FROM_SERVICE]
  }
  if (isTransport(error)) return connectionMeaning(errnoOf(error))
  if (error instanceof RangeError) return ['UNAVAILABLE', NOT_FROM_SERVICE]
  return ['INTERNAL', 'the SDK failed']
}

/** What `@azure/identity` throws. A status that it has is that of another service. */
function isSignInFailure(error: unknown): boolean {
  const names = /^(?:CredentialUnavailable|AggregateAuthentication|Authentication(?:Required)?)Error$/
  return error instanceof Error && names.test(error.name)
}

function isTransport(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  const code: unknown = 'code' in error ? error.code : undefined
  // The SDK's own without a status; an abort that nobody asked for is a connection that broke.
  if (/^(RestError|AbortError|AggregateError)$/.test(error.name)) return true
  return typeof code === 'string' && /^(E[A-Z]+|ERR_[A-Z_]+|UND_ERR_[A-Z_]+)$/.test(code)
}

/** How long the service asks to wait. */
function retryAfterOf(error: unknown): { retryAfterMs?: number } {
  const headers = (
    error as { response?: { headers?: { get?: (name: string) => string | undefined } } } | null
  )?.response?.headers
  return askedDelay((header) => headers?.get?.(header))
}

function serviceCodeOf(error: unknown): string | null {
  if (typeof error !== 'object' || error === null) return null
  const { code, details } = error as { code?: unknown; details?: { errorCode?: unknown } }
  const service = details?.errorCode ?? code
  // Errors of sockets have codes too; those are in capitals.
  return typeof service === 'string' && /^[A-Z][A-Za-z0-9]*[a-z][A-Za-z0-9]*$/.test(service) ? service : null
}

function statusOf(error: unknown): number | null {
  if (typeof error !== 'object' || error === null) return null
  const { statusCode } = error as { statusCode?: unknown }
  return typeof statusCode === 'number' ? statusCode : null
}
