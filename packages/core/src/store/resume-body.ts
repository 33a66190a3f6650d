import { WorkspaceError } from '../errors.ts'
import { damagedContent } from './call-failure.ts'
import type { GetOptions, StoredObject } from './object-store.ts'

/** What is asked again about an object whose body broke off. */
export interface AskedAgain {
  readonly open: (range: GetOptions['range']) => Promise<StoredObject | null>
  readonly look: () => Promise<{ readonly etag: string } | null>
}

export interface BodyRetries {
  /** Waits until the next attempt may begin; throws the error itself when there is none. */
  pauseAfter(error: unknown): Promise<void>
  /** Something was delivered: counts start anew. */
  progress(): void
}

/** An object whose body goes on with a range read wherever it breaks off. */
export function resumable(
  first: StoredObject,
  range: GetOptions['range'],
  again: AskedAgain,
  retries: BodyRetries,
): StoredObject {
  const end = Math.min(range?.end ?? first.info.size, first.info.size)
  let { checksum } = first
  let position = range?.start ?? 0
  let current = first
  async function* read(): AsyncGenerator<Uint8Array> {
    for (;;) {
      const chunks = current.body[Symbol.asyncIterator]()
      try {
        for (;;) {
          const next = await nextOf(chunks)
          if ('failure' in next) {
            await retries.pauseAfter(next.failure)
            // A chunk that was lost behind the adapter has been counted: what is asked again it can not judge any more.
            if (checksum?.bytes !== position) checksum = undefined
            if (position >= end) return assertWhole()
            current = await reopen(next.failure)
            break
          }
          if (next.done) return current === first ? undefined : assertWhole()
          position += next.value.length
          if (current !== first) checksum?.update(next.value)
          retries.progress()
          yield next.value
        }
      } finally {
        await chunks.return?.()
      }
    }
  }
  function assertWhole(): void {
    const problem = checksum?.problem() ?? null
    if (problem !== null) throw damagedContent(first.info.key, problem)
  }
  async function reopen(failure: unknown): Promise<StoredObject> {
    const found = await again.open({ start: position, end }).catch(async (error: unknown) => {
      if (!WorkspaceError.is(error, 'INVALID_INPUT')) throw error
      // A shorter object in its place has no such range, nor has one whose answer lied about its size.
      if ((await again.look())?.etag === first.info.etag) throw failure
      return null
    })
    if (found?.info.etag === first.info.etag) return found
    await found?.discard()
    const message = `The object ${JSON.stringify(first.info.key)} changed while it was read. Read it again.`
    throw new WorkspaceError('CONFLICT', message, { cause: failure, details: { key: first.info.key } })
  }
  return { info: first.info, body: read(), checksum: first.checksum, discard: () => current.discard() }
}

/** The next step of an iterator with its failure as a value, so that a consumer's own error is never caught. */
export async function nextOf<T>(
  iterator: AsyncIterator<T>,
): Promise<IteratorResult<T> | { failure: unknown }> {
  try {
    return await iterator.next()
  } catch (error) {
    return { failure: error }
  }
}
