import { ContainerClient, StorageSharedKeyCredential, newPipeline } from '@azure/storage-blob'
import { Storage } from '@google-cloud/storage'
import { StorageClient } from '@supabase/storage-js'
import type { ErrorCode, ObjectStore } from '@ws/core'
import { azureStore } from '@ws/store-azure'
import { gcsStore } from '@ws/store-gcs'
import { s3Store } from '@ws/store-s3'
import { supabaseStore } from '@ws/store-supabase'
import {
  startAzurite,
  startGcsServer,
  startR2Server,
  startSupabaseServer,
  type Answer,
} from '@ws/test-servers'

/** What a service says when it refuses, in its own words, and what the caller must be told then. */
interface Refusal {
  readonly answer: Answer
  readonly code: ErrorCode
  readonly says: RegExp
}

export interface Service {
  readonly origin: string
  /** @param origin the service's own, or that of a proxy before it */
  open(origin: string): ObjectStore
  stop(): Promise<unknown>
}

interface TroubledService {
  start(): Promise<Service>
  /** Whether its answers tell the id of their request, or what else a proxy cannot know. */
  readonly namesRequests: boolean
  /** By the word of what is wrong. What a service does not know is not there. */
  readonly refusals: Readonly<Record<string, Refusal>>
}

const retry = { sleep: async () => undefined }
const json = (status: number, body: object): Answer => ({
  status,
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify(body),
})
const xml = (status: number, code: string, message = '', more: Record<string, string> = {}): Answer => ({
  status,
  headers: { 'content-type': 'application/xml', 'x-ms-error-code': code, ...more },
  body: `<?xml version="1.0"?><Error><Code>${code}</Code><Message>${message}</Message></Error>`,
})
const google = (status: number, reason: string, message = ''): Answer =>
  json(status, { error: { code: status, message, errors: [{ reason }] } })
const supabase = (statusCode: number, error: string, message: string): Answer =>
  json(400, { statusCode: String(statusCode), error, message })

/** For each adapter a service on loopback, and what such services say when they refuse. */
export const troubledServices: Readonly<Record<string, TroubledService>> = {
  s3: {
    namesRequests: false,
    async start() {
      const server = await startR2Server()
      const { endpoint = '' } = server.clientConfig
      const { pathname, origin } = new URL(endpoint)
      const client = (at: string) => ({ ...server.clientConfig, maxAttempts: 1, endpoint: at + pathname })
      return {
        origin,
        open: (at) => s3Store({ bucket: server.bucket, conditions: 'enforced', client: client(at), retry }),
        stop: () => server.stop(),
      }
    },
    refusals: {
      'wrong key': { answer: xml(403, 'SignatureDoesNotMatch'), code: 'ACCESS_DENIED', says: /check the credentials/ },
      'wrong region': { answer: xml(301, 'PermanentRedirect', '', { 'x-amz-bucket-region': 'eu-west-1' }), code: 'INVALID_INPUT', says: /open the store with region "eu-west-1"/ },
      'missing bucket': { answer: xml(404, 'NoSuchBucket'), code: 'NOT_FOUND', says: /the bucket "[\w-]+" does not exist; create it, or correct its name/ },
      'expired token': { answer: xml(400, 'ExpiredToken'), code: 'ACCESS_DENIED', says: /get new ones/ },
      'read-only credential': { answer: xml(403, 'AccessDenied'), code: 'ACCESS_DENIED', says: /compare their policy/ },
      'quota exceeded': { answer: xml(507, 'XMinioStorageFull'), code: 'QUOTA_EXCEEDED', says: /free space or raise it/ },
      'object locked': { answer: xml(403, 'AccessDenied', 'protected by object lock'), code: 'ACCESS_DENIED', says: /wait until it ends, or lift it/ },
      'key too long for the service': { answer: xml(400, 'KeyTooLongError'), code: 'INVALID_INPUT', says: /use a shorter key/ },
      'metadata too large for the service': { answer: xml(400, 'MetadataTooLarge'), code: 'INVALID_INPUT', says: /give less/ },
    },
  },
  gcs: {
    namesRequests: true,
    async start() {
      const server = await startGcsServer()
      return {
        origin: server.url,
        open: (apiEndpoint) => gcsStore({ bucket: new Storage({ apiEndpoint, projectId: 'project' }).bucket('bucket'), retry }),
        stop: () => server.stop(),
      }
    },
    refusals: {
      'wrong key': { answer: google(401, 'authError'), code: 'ACCESS_DENIED', says: /sign in again or renew them/ },
      'missing bucket': { answer: google(404, 'notFound', 'The specified bucket does not exist.'), code: 'NOT_FOUND', says: /the bucket "[\w-]+" does not exist; create it, or correct its name/ },
      'expired token': { answer: google(401, 'authError', 'Invalid Credentials'), code: 'ACCESS_DENIED', says: /have expired; sign in again/ },
      'read-only credential': { answer: google(403, 'forbidden'), code: 'ACCESS_DENIED', says: /grant them the role/ },
      'quota exceeded': { answer: google(403, 'quotaExceeded'), code: 'QUOTA_EXCEEDED', says: /quota of the project is used up/ },
      'object locked': { answer: google(403, 'retentionPolicyNotMet'), code: 'ACCESS_DENIED', says: /wait for its end/ },
      'key too long for the service': { answer: google(400, 'invalid', 'The maximum object length is 1024 characters.'), code: 'INVALID_INPUT', says: /maximum object length/ },
      'metadata too large for the service': { answer: google(400, 'invalid', 'Metadata part is too large.'), code: 'INVALID_INPUT', says: /Metadata part is too large/ },
    },
  },
  supabase: {
    namesRequests: true,
    async start() {
      const server = await startSupabaseServer()
      const client = (at: string) => new StorageClient(`${at}/storage/v1`, { authorization: 'Bearer service-key' })
      return {
        origin: server.url,
        open: (at) => supabaseStore({ client: client(at), bucket: 'bucket', retry }),
        stop: () => server.stop(),
      }
    },
    refusals: {
      'wrong key': { answer: supabase(403, 'Unauthorized', 'signature verification failed'), code: 'ACCESS_DENIED', says: /the key or token is not valid/ },
      'missing bucket': { answer: supabase(404, 'Bucket not found', 'Bucket not found'), code: 'NOT_FOUND', says: /the bucket "[\w-]+" does not exist; create it, or correct its name/ },
      'expired token': { answer: supabase(403, 'Unauthorized', '"exp" claim timestamp check failed'), code: 'ACCESS_DENIED', says: /has expired/ },
      'read-only credential': { answer: supabase(403, 'Unauthorized', 'new row violates row-level security policy'), code: 'ACCESS_DENIED', says: /add a policy/ },
      'quota exceeded': { answer: json(402, { message: 'Service for this project is restricted due to the following violations: exceed_storage_size_quota.' }), code: 'QUOTA_EXCEEDED', says: /see its usage page/ },
      'object locked': { answer: supabase(423, 'ResourceLocked', 'The resource is locked'), code: 'BUSY', says: /try again/ },
      'key too long for the service': { answer: { status: 414 }, code: 'INVALID_INPUT', says: /use a shorter one/ },
      'metadata too large for the service': { answer: { status: 431 }, code: 'INVALID_INPUT', says: /give less/ },
    },
  },
  azure: {
    namesRequests: true,
    async start() {
      const server = await startAzurite()
      const credential = new StorageSharedKeyCredential(server.account, server.accountKey)
      const pipeline = newPipeline(credential, { retryOptions: { maxTries: 1 } })
      const { origin, pathname } = new URL(server.url)
      const container = (at: string) => new ContainerClient(`${at + pathname}/files`, pipeline)
      await container(origin).create()
      return {
        origin,
        open: (at) => azureStore({ container: container(at), retry }),
        stop: () => server.stop(),
      }
    },
    refusals: {
      'wrong key': { answer: xml(403, 'AuthenticationFailed'), code: 'ACCESS_DENIED', says: /check the account, its key or token/ },
      'missing bucket': { answer: xml(404, 'ContainerNotFound'), code: 'NOT_FOUND', says: /create it, or correct its name/ },
      'expired token': { answer: xml(403, 'AuthenticationFailed', 'Signature not valid in the specified time frame'), code: 'ACCESS_DENIED', says: /the expiry of a signature/ },
      'read-only credential': { answer: xml(403, 'AuthorizationPermissionMismatch'), code: 'ACCESS_DENIED', says: /grant/ },
      'quota exceeded': { answer: { status: 507 }, code: 'QUOTA_EXCEEDED', says: /free space or raise it/ },
      'object locked': { answer: xml(409, 'BlobImmutableDueToPolicy'), code: 'ACCESS_DENIED', says: /immutability policy or a legal hold/ },
      'key too long for the service': { answer: xml(400, 'InvalidUri'), code: 'INVALID_INPUT', says: /does not take the name/ },
      'metadata too large for the service': { answer: xml(400, 'MetadataTooLarge'), code: 'INVALID_INPUT', says: /metadata is larger than the service takes/ },
    },
  },
} // prettier-ignore
