import {
  BlobSASPermissions,
  BlobServiceClient,
  SASProtocol,
  StorageSharedKeyCredential,
  generateBlobSASQueryParameters,
  type ContainerClient,
} from '@azure/storage-blob'
import { WorkspaceError, type SignedUrlOptions } from '@ws/core'

const DEFAULT_EXPIRY_MS = 900_000
/** A key that a token credential asks for lasts no longer. */
const MAX_DELEGATION_MS = 7 * 24 * 60 * 60 * 1_000

/** A client that was made from a signature, or without credentials, cannot sign. */
export function canSign(container: ContainerClient): boolean {
  return container.credential instanceof StorageSharedKeyCredential || 'getToken' in container.credential
}

/**
 * Signs with the account's key, or with a key that the service gives to the holder of a token.
 * It names no start, so that a machine whose clock is ahead makes URLs that work at once.
 */
export async function signBlobUrl(
  container: ContainerClient,
  key: string,
  { method, expiresInMs = DEFAULT_EXPIRY_MS, signal }: SignedUrlOptions,
): Promise<URL> {
  if (!(expiresInMs > 0)) throw invalid(key, 'expiresInMs must be more than 0')
  const expiresOn = new Date(Date.now() + expiresInMs)
  const url = new URL(container.getBlobClient(key).url)
  const values = {
    containerName: container.containerName,
    blobName: key,
    permissions: BlobSASPermissions.parse(method === 'GET' ? 'r' : 'cw'),
    expiresOn,
    ...(url.protocol === 'https:' ? { protocol: SASProtocol.Https } : {}),
  }
  const { credential } = container
  if (credential instanceof StorageSharedKeyCredential) {
    url.search = generateBlobSASQueryParameters(values, credential).toString()
    return url
  }
  if (expiresInMs > MAX_DELEGATION_MS)
    throw invalid(key, `with a token credential a URL lasts at most ${MAX_DELEGATION_MS} ms`)
  const service = new BlobServiceClient(serviceUrl(container), credential)
  const delegation = await service.getUserDelegationKey(
    new Date(),
    expiresOn,
    signal === undefined ? {} : { abortSignal: signal },
  )
  url.search = generateBlobSASQueryParameters(values, delegation, service.accountName).toString()
  return url
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
