import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { WorkspaceError, type ErrorCode, type GetOptions, type ObjectStore } from '@ws/core'

export const MIB = 1_048_576

/** Bytes that differ from place to place and from seed to seed, so that a part in the wrong place shows. */
export function sampleBytes(length: number, seed = 1): Uint8Array {
  const bytes = new Uint8Array(length)
  let state = (seed * 2_654_435_761) >>> 0 || 1
  for (let index = 0; index < length; index += 1) {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    bytes[index] = state
  }
  return bytes
}

export function textBytes(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text))
}

export async function* streamOf(...chunks: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* chunks
}

export async function* inChunks(bytes: Uint8Array, chunkBytes: number): AsyncGenerator<Uint8Array> {
  for (let position = 0; position < bytes.length; position += chunkBytes)
    yield bytes.subarray(position, position + chunkBytes)
}

/** Gives one chunk, then throws. */
export async function* failingAfter(first: Uint8Array, error: unknown): AsyncGenerator<Uint8Array> {
  yield first
  throw error
}

export async function collect(body: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  for await (const chunk of body) chunks.push(chunk)
  return Buffer.concat(chunks)
}

/** The bytes of an object that must be there. */
export async function readObject(store: ObjectStore, key: string, options?: GetOptions): Promise<Buffer> {
  const found = await store.get(key, options)
  assert.ok(found !== null, `get(${JSON.stringify(key)}) gave null for an object that was put`)
  return collect(found.body)
}

/** Compares without printing megabytes. */
export function assertBytes(actual: Uint8Array, expected: Uint8Array, what: string): void {
  assert.equal(actual.length, expected.length, `${what}: wrong length`)
  assert.ok(Buffer.from(actual).equals(expected), `${what}: right length, wrong bytes`)
}

export async function assertObject(store: ObjectStore, key: string, expected: Uint8Array): Promise<void> {
  assertBytes(await readObject(store, key), expected, JSON.stringify(key))
}

export async function assertAbsent(store: ObjectStore, key: string): Promise<void> {
  assert.equal(await store.head(key), null, `head(${JSON.stringify(key)}) shows an object`)
  const found = await store.get(key)
  await found?.discard()
  assert.equal(found, null, `get(${JSON.stringify(key)}) shows an object`)
}

export async function listKeys(
  store: ObjectStore,
  prefix: string,
  options?: { readonly startAfter?: string },
): Promise<string[]> {
  const keys: string[] = []
  for await (const info of store.list(prefix, options)) keys.push(info.key)
  return keys
}

export async function assertRejects(
  call: () => Promise<unknown>,
  code: ErrorCode,
  what: string,
): Promise<WorkspaceError> {
  const error = await rejectionOf(call, what)
  assert.ok(
    WorkspaceError.is(error),
    `${what}: rejected with something else than a WorkspaceError: ${String(error)}`,
  )
  assert.equal(error.code, code, `${what}: ${error.message}`)
  return error
}

/** What the call rejects with; it must reject. */
export async function rejectionOf(call: () => Promise<unknown>, what: string): Promise<unknown> {
  let outcome: unknown
  try {
    outcome = await call()
  } catch (error) {
    return error
  }
  return assert.fail(`${what}: should have been refused, but gave ${String(outcome)}`)
}

export async function inParallel<T>(
  items: Iterable<T> | AsyncIterable<T>,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const rest = Symbol.asyncIterator in items ? items[Symbol.asyncIterator]() : items[Symbol.iterator]()
  const run = async (): Promise<void> => {
    for (;;) {
      const next = await rest.next()
      if (next.done === true) return
      await work(next.value)
    }
  }
  await Promise.all(Array.from({ length: 16 }, run))
}

/** Only a store that breaks the contract ever waits for this timer. */
export async function orStuck<T>(call: Promise<T>, stuckAfterMs: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const stuck = new Promise<never>((_, reject) => {
    const error = new Error(`the call did not end within ${stuckAfterMs} ms`)
    timer = setTimeout(reject, stuckAfterMs, error)
  })
  return Promise.race([call, stuck]).finally(() => clearTimeout(timer))
}
