import { Buffer } from 'node:buffer'

/** No answer that is read as a whole is as long; a page of a list has about 1 MiB. */
const MAX_TEXT_BYTES = 67_108_864

/** For adapters: an answer as a text. @throws `RangeError` for one longer than any that a service gives; what `chunks` throws */
export async function readText(chunks: AsyncIterable<Uint8Array>): Promise<string> {
  return Buffer.concat(await Array.fromAsync(limitText(chunks))).toString()
}

/** For adapters: the chunks of an answer that somebody else reads as a text; throws as {@link readText} does. */
export async function* limitText(
  chunks: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  let length = 0
  for await (const chunk of chunks) {
    length += chunk.length
    if (length > MAX_TEXT_BYTES) throw new RangeError('The answer is too long.')
    yield chunk
  }
}
