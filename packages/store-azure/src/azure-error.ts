import {
  WorkspaceError,
  connectionReason,
  errnoOf,
  plainCause,
  quoteKey,
  statusMeanings,
  type Meaning,
} from '@ws/core'

/** The service's own codes: https://learn.microsoft.com/rest/api/storageservices/blob-service-error-codes */
const codes: Readonly<Record<string, Meaning>> = {
  ContainerNotFound: ['NOT_FOUND', 'the container does not exist. Create it, or check its name'],
  ContainerBeingDeleted: ['UNAVAILABLE', 'the container is being deleted'],
  ContainerDisabled: ['ACCESS_DENIED', 'the container was disabled by an administrator'],
  AccountBeingCreated: ['UNAVAILABLE', 'the storage account is being created'],
  AccountIsDisabled: ['ACCESS_DENIED', 'the storage account is disabled'],
  AuthenticationFailed: [
    'ACCESS_DENIED',
    'the credentials were refused. Check the account, its key or token, the expiry of a signature, and the clock of this machine',
  ],
  NoAuthenticationInformation: ['ACCESS_DENIED', 'the request carried no credentials. Give the client some'],
  InvalidAuthenticationInfo: ['ACCESS_DENIED', 'the credentials are malformed or expired. Renew them'],
  AuthorizationFailure: [
    'ACCESS_DENIED',
    'the credentials or the network rules do not allow it. Check the expiry of a signature, and the firewall of the account',
  ],
  AuthorizationPermissionMismatch: [
    'ACCESS_DENIED',
    'the credentials do not allow it. Grant "Storage Blob Data Contributor" or the missing permission of the signature',
  ],
  InsufficientAccountPermissions: ['ACCESS_DENIED', 'the credentials do not allow it'],
  PublicAccessNotPermitted: ['ACCESS_DENIED', 'the account allows no anonymous access. Give credentials'],
  KeyBasedAuthenticationNotPermitted: [
    'ACCESS_DENIED',
    'the account takes no account keys. Use a token credential',
  ],
  BlobImmutableDueToPolicy: ['ACCESS_DENIED', 'an immutability policy or a legal hold protects the blob'],
  BlobArchived: ['UNSUPPORTED', 'the blob is in the archive tier. Rehydrate it'],
  BlobBeingRehydrated: ['UNAVAILABLE', 'the blob is being brought back from the archive tier'],
  InvalidBlobType: ['UNSUPPORTED', 'a blob of another type is there. Delete it'],
  FeatureNotSupportedForAccount: ['UNSUPPORTED', 'the account does not support it'],
  LeaseIdMissing: ['BUSY', 'somebody holds a lease on the blob or the container'],
  LeaseAlreadyPresent: ['BUSY', 'somebody holds a lease on the blob or the container'],
  SnapshotOperationRateExceeded: ['UNAVAILABLE', 'the service is busy'],
  Md5Mismatch: ['UNAVAILABLE', 'the bytes were damaged on their way to the service'],
  Crc64Mismatch: ['UNAVAILABLE', 'the bytes were damaged on their way to the service'],
  InvalidBlockList: ['UNAVAILABLE', 'another writer replaced the blob while this one was sending'],
  InvalidBlobOrBlock: ['UNAVAILABLE', 'another writer replaced the blob while this one was sending'],
  InvalidRange: ['INVALID_INPUT', 'the range starts past the end'],
  RequestBodyTooLarge: ['QUOTA_EXCEEDED', 'it is larger than the service takes'],
  BlockCountExceedsLimit: ['QUOTA_EXCEEDED', 'it has more blocks than the service takes'],
  MetadataTooLarge: ['INVALID_INPUT', 'the metadata is larger than the service takes'],
  InvalidMetadata: ['INVALID_INPUT', 'the service does not take the metadata'],
  InvalidResourceName: ['INVALID_INPUT', 'the service does not take the name'],
  InvalidUri: ['INVALID_INPUT', 'the service does not take the name'],
  ServerBusy: ['UNAVAILABLE', 'the service is busy'],
  OperationTimedOut: ['TIMEOUT', 'the service ran out of time'],
  InternalError: ['UNAVAILABLE', 'the service failed'],
}

const NOT_FROM_SERVICE =
  'the answer did not come from the service. Check the endpoint, and the proxies before it'

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
export function toStoreError(error: unknown, action: string, subject: string, signal?: AbortSignal): unknown {
  if (signal?.aborted === true) return signal.reason
  if (WorkspaceError.is(error)) return error
  const service = serviceCodeOf(error)
  const status = statusOf(error)
  const [code, reason] = translate(error, service, status)
  const message = `Cannot ${action} ${quoteKey(subject)} in Azure: ${reason}${service === null ? '' : ` (${service})`}.`
  const errno = errnoOf(error)
  const details = {
    key: subject,
    ...(status === null ? {} : { status }),
    ...(service === null ? {} : { serviceCode: service }),
    ...(status === null && errno !== undefined ? { errno } : {}),
    ...retryAfterOf(error),
  }
  return new WorkspaceError(code, message, { cause: plainCause(error), details })
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
  // What the emulator says in the place of Md5Mismatch.
  if (service === 'InvalidOperation' && error instanceof Error && /contentMD5/i.test(error.message))
    return codes['Md5Mismatch'] ?? ['UNAVAILABLE', service]
  const known = service === null ? undefined : codes[service]
  if (known !== undefined) return known
  if (status !== null) {
    if (status === 404 && service === null)
      return ['UNAVAILABLE', 'something before the service answered "not found"']
    // The service names each of its own.
    const isForeign = service === null && (status === 400 || status === 416)
    const byStatus = status === 404 || isForeign ? undefined : statusMeanings[status]
    if (byStatus !== undefined) return byStatus
    if (status >= 500) return ['UNAVAILABLE', `the service answered with ${status}. Try again later`]
    if (service === null || status < 400) return ['UNAVAILABLE', NOT_FROM_SERVICE]
    return ['INTERNAL', `the service refused with ${status}`]
  }
  if (isTransport(error)) return ['UNAVAILABLE', connectionReason(error)]
  if (error instanceof RangeError) return ['UNAVAILABLE', NOT_FROM_SERVICE]
  return ['INTERNAL', 'the SDK failed']
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
  const seconds = Number(headers?.get?.('retry-after') ?? Number.NaN)
  return Number.isFinite(seconds) && seconds >= 0 ? { retryAfterMs: seconds * 1_000 } : {}
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
