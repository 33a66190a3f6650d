import { WorkspaceError } from '../../errors.ts'
import { unlessAborted } from '../../store/unless-aborted.ts'

/** An archive this small is done before a thread would have started. */
const ARCHIVE_BYTES_WORTH_A_THREAD = 256 * 1024

/** An archive as a caller gave it. */
export interface ArchiveInput {
  /** Each is only valid until the next one is asked for: a source may use its buffer again. */
  readonly chunks: AsyncIterator<Uint8Array>
  /** Whether an error is the source's own, which says nothing about what the archive is extracted into. */
  hasThrown(error: unknown): boolean
  /** Waits for nothing: a source that never answers must not hold up the answer to the caller. */
  close(): void
}

/** @throws `INVALID_INPUT` for what is no source of bytes; the chunks throw it for what is none */
export function openArchive(
  bundle: AsyncIterable<Uint8Array> | Uint8Array,
  signal: AbortSignal | undefined,
): ArchiveInput {
  assertBundle(bundle)
  let failure: { readonly error: unknown } | null = null
  const chunks = abortable(
    toChunks(bundle, (error) => (failure = { error })),
    signal,
  )
  return {
    chunks,
    hasThrown: (error) => failure !== null && failure.error === error,
    close: () => void Promise.resolve(chunks.return?.()).catch(() => undefined),
  }
}

function assertBundle(bundle: unknown): void {
  if (typeof bundle === 'string')
    throw invalid('A bundle is bytes, not a file name. Pass createReadStream(path).')
  if (bundle instanceof Uint8Array) return
  if (typeof bundle === 'object' && bundle !== null)
    if (Symbol.asyncIterator in bundle || Symbol.iterator in bundle) return
  throw invalid('A bundle is a stream of bytes or a Uint8Array, such as createReadStream(path).')
}

async function* toChunks(
  bundle: AsyncIterable<Uint8Array> | Uint8Array,
  onFailure: (error: unknown) => void,
): AsyncGenerator<Uint8Array, void, void> {
  if (bundle instanceof Uint8Array) {
    for (let offset = 0; offset < bundle.length; offset += ARCHIVE_BYTES_WORTH_A_THREAD) {
      yield bundle.subarray(offset, offset + ARCHIVE_BYTES_WORTH_A_THREAD)
    }
    return
  }
  try {
    for await (const chunk of bundle) {
      if (!(chunk instanceof Uint8Array)) throw invalid('A bundle must be made of Uint8Array chunks.')
      yield chunk
    }
  } catch (error) {
    onFailure(error)
    throw error
  }
}

/** Lets an abort end the wait for a source that does not answer. */
function abortable(
  input: AsyncIterator<Uint8Array>,
  signal: AbortSignal | undefined,
): AsyncIterator<Uint8Array> {
  if (signal === undefined) return input
  return {
    async next() {
      signal.throwIfAborted()
      return unlessAborted(input.next(), signal)
    },
    return: async () => (await input.return?.()) ?? { done: true, value: undefined },
  }
}

/** @returns `isWhole` for an archive that is not worth a thread */
export async function readAhead(
  input: AsyncIterator<Uint8Array>,
): Promise<{ chunks: AsyncGenerator<Uint8Array, void, void>; isWhole: boolean }> {
  const ahead: Uint8Array[] = []
  let isWhole = false
  for (let total = 0; total < ARCHIVE_BYTES_WORTH_A_THREAD && !isWhole;) {
    const next = await input.next()
    if (next.done === true) isWhole = true
    else {
      ahead.push(new Uint8Array(next.value))
      total += next.value.length
    }
  }
  async function* chunks(): AsyncGenerator<Uint8Array, void, void> {
    yield* ahead.splice(0)
    while (!isWhole) {
      const next = await input.next()
      if (next.done === true) return
      yield next.value
    }
  }
  return { chunks: chunks(), isWhole }
}

function invalid(message: string): WorkspaceError {
  return new WorkspaceError('INVALID_INPUT', message)
}
