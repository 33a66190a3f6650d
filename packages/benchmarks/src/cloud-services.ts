import { join } from 'node:path'
import { startAzurite, startFauxqs, startR2Server, startServerProcess } from '@ws/test-servers'
import { startChunkDecoder } from './decode-signed-chunks.ts'
import type { CloudConnection } from './run-cloud-child.ts'

/** A storage service on loopback. */
export interface CloudService {
  readonly name: string
  readonly origin: string
  /** How a client reaches it by another origin. */
  readonly connect: (origin: string) => CloudConnection
  /** Where restic keeps its repository there, if it can talk to it. */
  readonly resticRepository?: (origin: string) => string
  readonly stop: () => Promise<unknown>
}

export async function startS3(): Promise<CloudService> {
  const server = await startR2Server()
  const endpoint = server.clientConfig.endpoint ?? ''
  const { origin, pathname } = new URL(endpoint)
  return {
    name: 'S3 (R2)',
    origin,
    connect: (through) => ({ kind: 's3', conditions: 'enforced', bucket: server.bucket, clientConfig: { ...server.clientConfig, endpoint: `${through}${pathname}` } }), // prettier-ignore
    stop: () => server.stop(),
  }
}

/**
 * restic's client takes an endpoint without a path only, and signs bodies in chunks; this server has no path, and takes
 * them from a decoder. It keeps no conditions, so that commits take the longer way.
 */
export async function startS3WithRestic(): Promise<CloudService> {
  // restic puts a pack by one request, of up to 16 MiB.
  const server = await startFauxqs({ maxRequestBytes: 64 * 1024 * 1024 })
  const { bucket, clientConfig } = server
  const decoder = await startChunkDecoder(clientConfig.endpoint ?? '')
  return {
    name: 'S3 (fauxqs)',
    origin: decoder.origin,
    connect: (through) => ({ kind: 's3', conditions: 'unknown', bucket, clientConfig: { ...clientConfig, endpoint: through } }), // prettier-ignore
    resticRepository: (through) => `s3:${through}/${bucket}/restic-${new URL(through).port}`,
    async stop() {
      await decoder.stop()
      await server.stop()
    },
  }
}

export function resticEnvironment(repository: string, place: string): Record<string, string> {
  return {
    AWS_ACCESS_KEY_ID: 'any',
    AWS_SECRET_ACCESS_KEY: 'any',
    AWS_DEFAULT_REGION: 'us-east-1',
    RESTIC_PASSWORD: 'bench',
    RESTIC_CACHE_DIR: join(place, 'restic-cache'),
    RESTIC_REPOSITORY: repository,
  }
}

export async function startGcs(): Promise<CloudService> {
  const server = await startServerProcess('gcs')
  return {
    name: 'Google Cloud Storage',
    origin: server.url,
    connect: (through) => ({ kind: 'gcs', url: through }),
    stop: () => server.stop(),
  }
}

export async function startSupabase(): Promise<CloudService> {
  const server = await startServerProcess('supabase')
  return {
    name: 'Supabase Storage',
    origin: server.url,
    connect: (through) => ({ kind: 'supabase', url: through, key: 'service-key' }),
    stop: () => server.stop(),
  }
}

export async function startAzure(): Promise<CloudService> {
  const server = await startAzurite()
  const { url, account, accountKey } = server
  const { ContainerClient, StorageSharedKeyCredential } = await import('@azure/storage-blob')
  await new ContainerClient(`${url}/bench`, new StorageSharedKeyCredential(account, accountKey)).create()
  const { origin, pathname } = new URL(url)
  return {
    name: 'Azure (azurite)',
    origin,
    connect: (through) => ({ kind: 'azure', url: `${through}${pathname}/bench`, account, accountKey }),
    stop: () => server.stop(),
  }
}
