import { WorkspaceError, type ErrorCode, type ObjectStore } from '@ws/core'
import { startFaultProxy, startR2Server, type FaultProxy, type S3TestServer } from '@ws/test-servers'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { storeWith } from './open-fixtures.ts'

let server: S3TestServer
let proxy: FaultProxy
let store: ObjectStore
beforeAll(async () => {
  server = await startR2Server()
  proxy = await startFaultProxy({ target: server.clientConfig.endpoint ?? '' })
  store = storeWith(server, { endpoint: proxy.through(server.clientConfig.endpoint ?? '') })
})
afterAll(async () => {
  await proxy.stop()
  await server.stop()
})

async function refused(status: number, service: string, message = ''): Promise<WorkspaceError> {
  const body = `<?xml version="1.0" encoding="UTF-8"?><Error><Code>${service}</Code><Message>${message}</Message></Error>`
  const headers = { 'content-type': 'application/xml' }
  proxy.reset()
  proxy.inject({ times: Number.POSITIVE_INFINITY, fault: { kind: 'answer', status, headers, body } })
  const error: unknown = await store.put('a', Buffer.from('x')).catch((reason: unknown) => reason)
  return WorkspaceError.is(error) ? error : expect.fail(`${service}: ${String(error)}`)
}

/** All that AWS lists, and what R2, MinIO, Ceph and Backblaze say besides. */
const published: readonly (readonly [status: number, code: ErrorCode, names: string])[] = [
  [301, 'INVALID_INPUT', 'PermanentRedirect PermanentRedirectControlError'],
  [307, 'INVALID_INPUT', 'Redirect TemporaryRedirect'],
  [400, 'ACCESS_DENIED', 'ExpiredToken ExpiredRequest InvalidSessionException TokenRefreshRequired InvalidToken'],
  [400, 'ACCESS_DENIED', 'InvalidSignature MissingSecurityElement'],
  [400, 'ACCESS_DENIED', 'KMS.DisabledException KMS.InvalidKeyUsageException KMS.KMSInvalidStateException KMS.NotFoundException'],
  [400, 'INVALID_INPUT', 'AuthorizationHeaderMalformed IllegalLocationConstraintException IncorrectEndpoint EndpointNotFound'],
  [400, 'INVALID_INPUT', 'InvalidBucketName InvalidAccessPoint InvalidAccessPointAliasError InvalidHostHeader InvalidAddressingHeader'],
  [400, 'INVALID_INPUT', 'KeyTooLongError KeyTooLong InvalidURI InvalidObjectName XMinioInvalidObjectName XMinioInvalidResourceName'],
  [400, 'INVALID_INPUT', 'MetadataTooLarge RequestHeaderSectionTooLarge EntityTooSmall'],
  [400, 'INVALID_INPUT', 'InvalidArgument InvalidRequest InvalidTag MalformedXML MalformedACLError MalformedPolicy MalformedPOSTRequest'],
  [400, 'INVALID_INPUT', 'AccessControlListNotSupported AmbiguousGrantByEmailAddress AuthorizationQueryParametersError BucketHasAccessPointsAttached'],
  [400, 'INVALID_INPUT', 'CredentialsNotSupported DeviceNotActiveError IllegalVersioningConfigurationException IncorrectNumberOfFilesInPostRequest'],
  [400, 'INVALID_INPUT', 'InlineDataTooLarge InvalidBucketAclWithObjectOwnership InvalidBucketOwnerAWSAccountID InvalidEncryptionAlgorithmError'],
  [400, 'INVALID_INPUT', 'InvalidHttpMethod InvalidLocationConstraint InvalidPartOrder InvalidPolicyDocument InvalidSOAPRequest InvalidStorageClass'],
  [400, 'INVALID_INPUT', 'InvalidTargetBucketForLogging MaxPostPreDataLengthExceededError MissingAttachment MissingRequestBodyError'],
  [400, 'INVALID_INPUT', 'MissingSecurityHeader NoLoggingStatusForKey NoSuchAsyncRequest NotDeviceOwnerError RequestTorrentOfBucketError'],
  [400, 'INVALID_INPUT', 'ServerSideEncryptionConfigurationNotFoundError TagPolicyException TokenCodeInvalidError TooManyAccessPoints'],
  [400, 'INVALID_INPUT', 'TooManyMultiRegionAccessPointregionsError TooManyMultiRegionAccessPoints UnexpectedContent UnsupportedArgument'],
  [400, 'INVALID_INPUT', 'UnsupportedSignature UnresolvableGrantByEmailAddress UserKeyMustBeSpecified'],
  [400, 'QUOTA_EXCEEDED', 'EntityTooLarge MaxMessageLengthExceeded TooManyBuckets'],
  [400, 'TIMEOUT', 'RequestTimeout'],
  [400, 'UNAVAILABLE', 'BadDigest InvalidDigest IncompleteBody InvalidPart ConnectionClosedByRequester ResponseInterrupted XAmzContentSHA256Mismatch'],
  [400, 'UNAVAILABLE', 'KMS.ThrottlingException RequestLimitExceeded'],
  [400, 'UNSUPPORTED', 'XMinioParentIsObject'],
  [401, 'ACCESS_DENIED', 'Unauthorized'],
  [403, 'ACCESS_DENIED', 'AccessDenied AccountProblem AllAccessDisabled CrossLocationLoggingProhibited InvalidAccessKeyId InvalidPayer'],
  [403, 'ACCESS_DENIED', 'InvalidSecurity InvalidTokenId MissingAuthenticationToken NotSignedUp RequestTimeTooSkewed SignatureDoesNotMatch'],
  [403, 'ACCESS_DENIED', 'UnauthorizedAccess UnauthorizedAccessError UnexpectedIPError UserSuspended'],
  [403, 'INVALID_INPUT', 'InvalidRegion'],
  [403, 'QUOTA_EXCEEDED', 'QuotaExceeded StorageCapExceeded TransactionCapExceeded'],
  [403, 'UNSUPPORTED', 'InvalidObjectState'],
  [404, 'NOT_FOUND', 'NoSuchBucket NoSuchAccessPoint NoSuchMultiRegionAccessPoint NoSuchBucketPolicy NoSuchCORSConfiguration'],
  [404, 'NOT_FOUND', 'NoSuchLifecycleConfiguration NoSuchObjectLockConfiguration NoSuchWebsiteConfiguration NoSuchTagSet NoSuchVersion'],
  [404, 'NOT_FOUND', 'NoTransformationDefined ObjectLockConfigurationNotFoundError OwnershipControlsNotFoundError'],
  [404, 'UNAVAILABLE', 'NoSuchUpload'],
  [405, 'UNSUPPORTED', 'MethodNotAllowed'],
  [409, 'ACCESS_DENIED', 'ObjectLockedByBucketPolicy'],
  [409, 'INTERNAL', 'AccessPointAlreadyOwnedByYou BucketAlreadyExists BucketAlreadyOwnedByYou BucketNotEmpty ClientTokenConflict'],
  [409, 'INTERNAL', 'InvalidBucketState RestoreAlreadyInProgress'],
  [409, 'UNSUPPORTED', 'XMinioObjectExistsAsDirectory'],
  [411, 'UNSUPPORTED', 'MissingContentLength'],
  [416, 'INVALID_INPUT', 'InvalidRange'],
  [429, 'UNAVAILABLE', 'TooManyRequests'],
  [500, 'UNAVAILABLE', 'InternalError'],
  [501, 'UNSUPPORTED', 'NotImplemented'],
  [503, 'TIMEOUT', 'RequestTimeout'],
  [503, 'UNAVAILABLE', 'ServiceUnavailable SlowDown SlowDownRead SlowDownWrite Busy XMinioServerNotInitialized XMinioBackendDown'],
  [507, 'QUOTA_EXCEEDED', 'XMinioStorageFull'],
] // prettier-ignore

describe('the published codes of services', () => {
  it.each(published.flatMap(([status, code, names]) => names.split(' ').map((name) => [status, name, code] as const)))(
    '%i %s is %s, and stands in the message',
    async (status, name, code) => {
      const failure = await refused(status, name)
      expect(failure.code).toBe(code)
      expect(failure.message).toContain(`(${name}, HTTP ${status})`)
    },
  ) // prettier-ignore
})

describe('a code that nobody has published', () => {
  it.each([
    [400, 'INVALID_INPUT'],
    [401, 'ACCESS_DENIED'],
    [402, 'INTERNAL'],
    [403, 'ACCESS_DENIED'],
    [404, 'NOT_FOUND'],
    [405, 'UNSUPPORTED'],
    [409, 'INTERNAL'],
    [413, 'QUOTA_EXCEEDED'],
    [422, 'INTERNAL'],
    [429, 'UNAVAILABLE'],
    [500, 'UNAVAILABLE'],
    [501, 'UNSUPPORTED'],
    [503, 'UNAVAILABLE'],
    [507, 'QUOTA_EXCEEDED'],
    [599, 'UNAVAILABLE'],
  ])('%i goes by its status, to %s, and the service is quoted', async (status, code) => {
    const failure = await refused(status, 'SomethingNew', 'Cannot parse it:\n  the\tgear is out')
    expect(failure).toMatchObject({ code, details: { service: 'SomethingNew', status } })
    expect(failure.message).toMatch(/ \("Cannot parse it: the gear is out"\) \(SomethingNew, HTTP \d+\)\.$/)
  })

  it('is quoted in one line of at most 300 characters, without a secret, wherever that would be cut', async () => {
    const { secretAccessKey } = server.clientConfig.credentials as { secretAccessKey: string }
    for (const length of [0, 290, 299]) {
      const failure = await refused(400, 'SomethingNew', `${'x'.repeat(length)}${secretAccessKey} ${'y'.repeat(9_000)}`)
      expect(failure.message).not.toContain(secretAccessKey.slice(0, 1 + Math.min(8, 300 - length)))
      expect(failure.message.length).toBeLessThan(500)
    }
  }) // prettier-ignore
})
