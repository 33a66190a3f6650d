import type { ContainerClient } from '@azure/storage-blob'
import { abortBy, callAbout, notFromService, nullIfAbsent } from './azure-error.ts'

/** Removes an object, and the snapshots that somebody made of it, without which the service would not. */
export async function deleteObject(
  container: ContainerClient,
  key: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  const answer = await nullIfAbsent(
    () => container.getBlobClient(key).delete({ deleteSnapshots: 'include', ...abortBy(signal) }),
    callAbout(container, 'delete', key),
    signal,
  )
  if (answer !== null && answer.requestId === undefined) throw notFromService('delete', key)
}
