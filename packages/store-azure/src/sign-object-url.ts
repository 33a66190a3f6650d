import {
  BlobSASPermissions,
  BlobServiceClient,
  SASProtocol,
  newPipeline,
  type ContainerClient,
  type Pipeline,
} from '@azure/storage-blob'
import { WorkspaceError, type SignedUrlOptions } from '@ws/core'
import { abortBy, callAbout, toStoreError } from './azure-error.ts'

const DEFAULT_EXPIRY_MS = 900_000
/** A key that a token credential asks for lasts no longer. */
const MAX_DELEGATION_MS = 7 * 24 * 60 * 60 * 1_000

/** A client that was made from a signature, or without credentials, cannot sign. */
export function canSign(container: ContainerClient): boolean {
  // Not `instanceof`: the client may come from another installed copy of the SDK.
  return isAccountKey(container.credential) || 'getToken' in container.credential
}

/**
 * Signs with the account's key, or with a key that the service gives to the holder of a token.
 * It names no start, so that a machine whose clock is ahead makes URLs that work at once.
 */
export async function signObjectUrl(
  container: ContainerClient,
  key: string,
  options: SignedUrlOptions,
): Promise<URL> {
  try {
    return await sign(container, key, options)
  } catch (error) {
    throw toStoreError(error, callAbout(container, 'sign a URL for', key), options.signal)
  }
}

async function sign(
  container: ContainerClient,
  key: string,
  { method, expiresInMs = DEFAULT_EXPIRY_MS, signal }: SignedUrlOptions,
): Promise<URL> {
  if (!(expiresInMs > 0)) throw invalid(key, 'expiresInMs must be more than 0')
  const expiresOn = new Date(Date.now() + expiresInMs)
  const blob = container.getBlobClient(key)
  const values = {
    permissions: BlobSASPermissions.parse(method === 'GET' ? 'r' : 'cw'),
    expiresOn,
    ...(blob.url.startsWith('https:') ? { protocol: SASProtocol.Https } : {}),
  }
  const { credential } = container
  if (isAccountKey(credential)) return new URL(await blob.generateSasUrl(values))
  if (expiresInMs > MAX_DELEGATION_MS)
    throw invalid(key, `with a token credential a URL lasts at most ${MAX_DELEGATION_MS} ms`)
  // With the proxy, the retries and all else of the caller's client.
  const { pipeline } = container as unknown as { readonly pipeline?: Pipeline }
  const service = new BlobServiceClient(serviceUrl(container), pipeline ?? newPipeline(credential))
  const delegation = await service.getUserDelegationKey(new Date(), expiresOn, abortBy(signal))
  return new URL(await blob.generateUserDelegationSasUrl(values, delegation))
}

function isAccountKey(credential: ContainerClient['credential']): boolean {
  return 'computeHMACSHA256' in credential
}

function serviceUrl(container: ContainerClient): string {
  const url = new URL(container.url)
  url.pathname = url.pathname.replace(/\/[^/]+\/?$/, '')
  url.search = ''
  return url.toString()
}

function invalid(key: string, reason: string): WorkspaceError {
  return new WorkspaceError('INVALID_INPUT', `Cannot sign a URL for ${JSON.stringify(key)}: ${reason}.`, {
    details: { key },
  })
}
