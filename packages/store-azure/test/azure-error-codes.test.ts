import { randomBytes } from 'node:crypto'
import { ContainerClient, StorageSharedKeyCredential, newPipeline } from '@azure/storage-blob'
import { WorkspaceError, type ErrorCode, type ObjectStore } from '@ws/core'
import { startFaultProxy, type FaultProxy } from '@ws/test-servers'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { azureStore } from '../src/index.ts'

const secret = randomBytes(64).toString('base64')
let proxy: FaultProxy
let store: ObjectStore
beforeAll(async () => {
  // Nothing is asked of what is behind it.
  proxy = await startFaultProxy({ target: 'http://127.0.0.1:9' })
  const pipeline = newPipeline(new StorageSharedKeyCredential('account', secret), { retryOptions: { maxTries: 1 } })
  store = azureStore({ container: new ContainerClient(`${proxy.origin}/account/container`, pipeline) })
}) // prettier-ignore
afterAll(() => proxy.stop())

async function refused(call: 'put' | 'head', status: number, service: string, message = ''): Promise<WorkspaceError> {
  const body = `<?xml version="1.0" encoding="utf-8"?><Error><Code>${service}</Code><Message>${message}\nRequestId:1\nTime:2026</Message></Error>`
  const headers = { 'content-type': 'application/xml', 'x-ms-error-code': service, 'x-ms-request-id': '1' }
  proxy.reset()
  proxy.inject({ times: Number.POSITIVE_INFINITY, fault: { kind: 'answer', status, headers, body: call === 'head' ? '' : body } })
  const asked = call === 'head' ? store.head('a') : store.put('a', Buffer.from('x'))
  const error: unknown = await asked.catch((reason: unknown) => reason)
  return WorkspaceError.is(error) ? error : expect.fail(`${service}: ${String(error)}`)
} // prettier-ignore

/** All that the service lists for blobs, and for its services in common. */
const published: readonly (readonly [status: number, code: ErrorCode, names: string])[] = [
  [400, 'INVALID_INPUT', 'EmptyMetadataKey InvalidHeaderValue InvalidInput InvalidMetadata InvalidQueryParameterValue InvalidResourceName'],
  [400, 'INVALID_INPUT', 'InvalidUri InvalidXmlDocument InvalidXmlNodeValue MetadataTooLarge MissingRequiredHeader MissingRequiredQueryParameter'],
  [400, 'INVALID_INPUT', 'MissingRequiredXmlNode OutOfRangeInput OutOfRangeQueryParameterValue RequestUrlFailedToParse UnsupportedXmlNode'],
  [400, 'INVALID_INPUT', 'InvalidBlobTier InvalidSourceBlobUrl InvalidVersionForPageBlobOperation CopyAcrossAccountsNotSupported'],
  [400, 'INVALID_INPUT', 'InvalidOperation MissingContentMD5Header'],
  [400, 'UNSUPPORTED', 'ConditionHeadersNotSupported MultipleConditionHeadersNotSupported UnsupportedHeader UnsupportedQueryParameter'],
  [400, 'UNAVAILABLE', 'InvalidMd5 Md5Mismatch Crc64Mismatch InvalidBlobOrBlock InvalidBlockList'],
  [400, 'BUSY', 'InvalidBlockId'],
  [400, 'QUOTA_EXCEEDED', 'BlockListTooLong'],
  [401, 'ACCESS_DENIED', 'NoAuthenticationInformation InvalidAuthenticationInfo'],
  [403, 'ACCESS_DENIED', 'AccountIsDisabled AuthenticationFailed AuthorizationFailure AuthorizationPermissionMismatch'],
  [403, 'ACCESS_DENIED', 'AuthorizationProtocolMismatch AuthorizationResourceTypeMismatch AuthorizationServiceMismatch'],
  [403, 'ACCESS_DENIED', 'AuthorizationSourceIPMismatch InsufficientAccountPermissions KeyBasedAuthenticationNotPermitted'],
  [403, 'ACCESS_DENIED', 'ContainerDisabled UnauthorizedBlobOverwrite CannotVerifyCopySource'],
  [404, 'NOT_FOUND', 'ContainerNotFound ResourceNotFound PreviousSnapshotNotFound'],
  [405, 'UNSUPPORTED', 'UnsupportedHttpVerb'],
  [409, 'ACCESS_DENIED', 'BlobImmutableDueToPolicy BlobUsesCustomerSpecifiedEncryption PublicAccessNotPermitted'],
  [409, 'BUSY', 'LeaseAlreadyPresent LeaseIdMismatchWithBlobOperation LeaseIdMismatchWithContainerOperation PendingCopyOperation'],
  [409, 'INTERNAL', 'AccountAlreadyExists ContainerAlreadyExists ResourceAlreadyExists SnapshotsPresent NoPendingCopyOperation'],
  [409, 'QUOTA_EXCEEDED', 'BlobTierInadequateForContentLength BlockCountExceedsLimit ContentLengthLargerThanTierLimit'],
  [409, 'UNAVAILABLE', 'AccountBeingCreated BlobBeingRehydrated BlobModifiedWhileReading ContainerBeingDeleted SnapshotOperationRateExceeded SystemInUse'],
  [409, 'UNSUPPORTED', 'BlobArchived FeatureNotSupportedForAccount FeatureVersionMismatch InvalidBlobType ResourceTypeMismatch'],
  [412, 'BUSY', 'LeaseIdMissing LeaseLost'],
  [413, 'QUOTA_EXCEEDED', 'RequestBodyTooLarge'],
  [416, 'INVALID_INPUT', 'InvalidRange InvalidPageRange'],
  [429, 'UNAVAILABLE', 'TooManyRequests'],
  [500, 'TIMEOUT', 'OperationTimedOut'],
  [500, 'UNAVAILABLE', 'InternalError'],
  [503, 'UNAVAILABLE', 'ServerBusy'],
] // prettier-ignore

describe('the published codes of the service', () => {
  it.each(published.flatMap(([status, code, names]) => names.split(' ').map((name) => [status, name, code] as const)))(
    '%i %s is %s, and stands in the message',
    async (status, name, code) => {
      for (const call of ['put', 'head'] as const) {
        const failure = await refused(call, status, name)
        expect(failure).toMatchObject({ code, details: { serviceCode: name, status } })
        expect(failure.message).toContain(` (${name}).`)
      }
    },
  ) // prettier-ignore
})

describe('a code that nobody has published', () => {
  it.each([
    [400, 'INVALID_INPUT'],
    [401, 'ACCESS_DENIED'],
    [403, 'ACCESS_DENIED'],
    [404, 'NOT_FOUND'],
    [405, 'UNSUPPORTED'],
    [409, 'INTERNAL'],
    [413, 'QUOTA_EXCEEDED'],
    [422, 'INTERNAL'],
    [429, 'UNAVAILABLE'],
    [500, 'UNAVAILABLE'],
    [503, 'UNAVAILABLE'],
    [599, 'UNAVAILABLE'],
  ])('%i goes by its status, to %s, and the service is quoted', async (status, code) => {
    const failure = await refused('put', status, 'SomethingNew', 'The gear is out.')
    expect(failure).toMatchObject({ code, details: { serviceCode: 'SomethingNew', status } })
    expect(failure.message).toMatch(/[a-z] \("The gear is out\."\) \(SomethingNew\)\.$/)
    expect((await refused('head', status, 'SomethingNew')).code).toBe(code)
  })

  it('is quoted without the signature that the service repeats', async () => {
    const words = `Signature not valid: https://account/container/a?sp=r&amp;sig=${encodeURIComponent(secret)}`
    const failure = await refused('put', 400, 'SomethingNew', words)
    expect(failure.message).toContain('Signature not valid')
    expect(failure.message).not.toContain(encodeURIComponent(secret).slice(0, 8))
  })
})
