import type { ContainerClient } from '@azure/storage-blob'
import { abortBy, callAbout, notFromService, nullIfAbsent } from './azure-error.ts'
import { refuseRedirects } from './refuse-redirects.ts'

/** Removes an object, and the snapshots that somebody made of it, without which the service would not. */
export async function deleteObject(
  container: ContainerClient,
  key: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  const blob = container.getBlobClient(key)
  const about = callAbout(container, 'delete', key)
  const remove = () => blob.delete({ deleteSnapshots: 'include', ...abortBy(signal) })
  const answer = await nullIfAbsent(() => refuseRedirects(blob, about, remove), about, signal)
  if (answer !== null && answer.requestId === undefined) throw notFromService('delete', key)
}
