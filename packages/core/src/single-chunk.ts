/** A stream of bytes that are there already; of none it has no chunk. */
// eslint-disable-next-line @typescript-eslint/require-await
export async function* singleChunk(bytes: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  if (bytes.length > 0) yield bytes
}
