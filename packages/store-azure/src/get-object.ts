import { createHash } from 'node:crypto'
import type { Readable } from 'node:stream'
import type { ContainerClient } from '@azure/storage-blob'
import {
  WorkspaceError,
  bodyChecksum,
  damagedContent,
  parseContentRange,
  receiveChunks,
  resolveByteRange,
  type BodyChecksum,
  type GetOptions,
  type StoredObject,
} from '@ws/core'
import { callAbout, notFromService, nullIfAbsent, toStoreError, type CallAbout } from './azure-error.ts'
import { toObjectInfo } from './head-object.ts'
import { refuseRedirects } from './refuse-redirects.ts'

export function getObject(
  container: ContainerClient,
  key: string,
  options: GetOptions,
): Promise<StoredObject | null> {
  return nullIfAbsent(() => open(container, key, options), callAbout(container, 'read', key), options.signal)
}

async function open(
  container: ContainerClient,
  key: string,
  { range, signal, reusesChunks }: GetOptions,
): Promise<StoredObject> {
  const { start, end } = range ?? { start: 0 }
  const aborted = new AbortController()
  const blob = container.getBlobClient(key)
  const about = callAbout(container, 'read', key)
  const answer = await refuseRedirects(blob, about, () =>
    blob.download(start, end === undefined ? undefined : end - start, {
      abortSignal: signal === undefined ? aborted.signal : AbortSignal.any([signal, aborted.signal]),
      // Going on after a broken connection is the work of one place: `withRetry`.
      maxRetryRequests: 0,
    }),
  )
  const stream = answer.readableStreamBody as Readable | undefined
  if (stream === undefined) throw notFromService('read', key)
  // A body that is discarded or breaks while nobody reads it tells so to nobody.
  stream.on('error', () => undefined)
  const close = (): void => {
    // The connection of a body that has come whole may be another request's already.
    if (stream.readableEnded) return
    aborted.abort()
    stream.destroy()
  }
  try {
    const isWhole = start === 0 && end === undefined
    const answered = parseContentRange(answer.contentRange)
    // An empty blob has no range, whatever is said of it.
    const isEmpty = answer.contentRange?.endsWith('/0') === true
    if (!isWhole && !isEmpty && answered?.start !== start) throw notFromService('read', key)
    const total = isWhole ? answer.contentLength : isEmpty ? 0 : answered?.size
    const info = toObjectInfo('read', key, answer, total)
    const part = range === undefined ? { start: 0, end: info.size } : resolveByteRange(key, range, info.size)
    const length = part.end - part.start
    const md5 = length === info.size ? answer.contentMD5 : undefined
    const checksum = md5 === undefined ? undefined : checkMd5(md5)
    if (answer.contentLength !== length) throw truncated(key, length, answer.contentLength ?? 0)
    // The SDK's stream of a service passes on the chunks of the answer, its own `source`.
    const source = 'source' in stream ? stream.source : stream
    const body = readBody(
      receiveChunks(stream, reusesChunks, source),
      about,
      { length, checksum },
      signal,
      close,
    )
    return {
      info,
      body,
      checksum,
      async discard() {
        close()
        await body.return(undefined).catch(() => undefined)
      },
    }
  } catch (error) {
    close()
    throw error
  }
}

async function* readBody(
  stream: AsyncIterable<Uint8Array>,
  about: CallAbout,
  { length, checksum }: { readonly length: number; readonly checksum: BodyChecksum | undefined },
  signal: AbortSignal | undefined,
  close: () => void,
): AsyncGenerator<Uint8Array, void, undefined> {
  const { key } = about
  let bytes = 0
  try {
    signal?.throwIfAborted()
    for await (const chunk of stream) {
      signal?.throwIfAborted()
      bytes += chunk.length
      checksum?.update(chunk)
      yield chunk
    }
    signal?.throwIfAborted()
    if (bytes !== length) throw truncated(key, length, bytes)
    const problem = checksum?.problem() ?? null
    if (problem !== null) throw damagedContent(key, problem)
  } catch (error) {
    throw toStoreError(error, about, signal)
  } finally {
    close()
  }
}

function checkMd5(stored: Uint8Array): BodyChecksum {
  const hash = createHash('md5')
  return bodyChecksum(
    (chunk) => void hash.update(chunk),
    () => (hash.digest().equals(stored) ? null : 'its MD5 is not the one that was stored with it'),
  )
}

function truncated(key: string, expected: number, actual: number): WorkspaceError {
  const message = `Reading ${JSON.stringify(key)} from Azure ended after ${actual} of ${expected} bytes. Read it again.`
  return new WorkspaceError('UNAVAILABLE', message, { details: { key, expected, actual } })
}
