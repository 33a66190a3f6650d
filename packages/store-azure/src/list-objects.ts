import type { ContainerClient } from '@azure/storage-blob'
import {
  compareKeys,
  damagedContent,
  isObjectKey,
  plainEtag,
  type ListOptions,
  type ObjectInfo,
  type WorkspaceError,
} from '@ws/core'
import { abortBy, callAbout, notFromService, toStoreError } from './azure-error.ts'
import { decodeMetadata } from './blob-metadata.ts'
import { refuseRedirects } from './refuse-redirects.ts'

/**
 * Blobs in the order of their names' UTF-8 bytes. Blobs whose names are no legal keys are not ours and are left out.
 * The service begins only at the start of a prefix, so what lies before `startAfter` is read and dropped.
 */
export async function* listObjects(
  container: ContainerClient,
  prefix: string,
  { startAfter, signal }: ListOptions,
): AsyncGenerator<ObjectInfo, void, undefined> {
  try {
    for await (const info of inByteOrder(listPages(container, prefix, signal))) {
      signal?.throwIfAborted()
      if (startAfter === undefined || compareKeys(info.key, startAfter) > 0) yield info
    }
  } catch (error) {
    throw toStoreError(error, callAbout(container, 'list', prefix), signal)
  }
}

async function* listPages(
  container: ContainerClient,
  prefix: string,
  signal: AbortSignal | undefined,
): AsyncGenerator<ObjectInfo, void, undefined> {
  const about = callAbout(container, 'list', prefix)
  const pages = container
    .listBlobsFlat({
      ...(prefix === '' ? {} : { prefix }),
      ...abortBy(signal),
    })
    .byPage()
  const nextPage = async () => {
    const next = await pages.next()
    return next.done === true ? null : next.value
  }
  const continuations = new Set<string>()
  for (;;) {
    const page = await refuseRedirects(container, about, nextPage).catch((error: unknown) => {
      // What the SDK's parser says to a page that is no listing.
      throw error instanceof TypeError ? notFromService('list', prefix, error) : error
    })
    if (page === null) return
    // An answer that is no listing comes through without what a listing has.
    if (page.requestId === undefined) throw notFromService('list', prefix)
    const { continuationToken = '' } = page
    if (continuations.has(continuationToken)) throw listedAgain(prefix, page.segment.blobItems[0]?.name)
    if (continuationToken !== '') continuations.add(continuationToken)
    for (const { name, properties, metadata } of page.segment.blobItems) {
      if (!isObjectKey(name)) continue
      const { contentLength = 0, etag, lastModified, contentType } = properties
      yield {
        key: name,
        size: contentLength,
        etag: plainEtag(etag),
        modifiedAt: lastModified,
        ...(contentType === undefined ? {} : { contentType }),
        metadata: decodeMetadata(metadata),
      }
    }
  }
}

/** Where a page leads back to an earlier one, such as that of a cache, the list has no end. */
function listedAgain(prefix: string, key: string | undefined): WorkspaceError {
  if (key === undefined) return notFromService('list', prefix)
  return damagedContent(key, 'the service lists it out of order, so a listing cannot be relied upon')
}

/**
 * Services compare names by UTF-16 units or by bytes. The two differ only among names that go on, at one place, with
 * characters above U+D7FF: such a run is collected and sorted, everything else passes.
 */
async function* inByteOrder(infos: AsyncIterable<ObjectInfo>): AsyncGenerator<ObjectInfo, void, undefined> {
  let run: ObjectInfo[] = []
  let start = ''
  for await (const info of infos) {
    if (run.length > 0 && !(info.key.startsWith(start) && isHigh(info.key, start.length))) {
      yield* sorted(run)
      run = []
    }
    if (run.length === 0) {
      const position = firstHigh(info.key)
      if (position < 0) {
        yield info
        continue
      }
      start = info.key.slice(0, position)
    }
    run.push(info)
  }
  yield* sorted(run)
}

function sorted(run: readonly ObjectInfo[]): ObjectInfo[] {
  return run.toSorted((left, right) => compareKeys(left.key, right.key))
}

function firstHigh(key: string): number {
  return key.search(/[\ud800-\uffff]/)
}

function isHigh(key: string, position: number): boolean {
  return key.charCodeAt(position) >= 0xd800
}
