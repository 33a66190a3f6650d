import { Buffer } from 'node:buffer'
import { randomBytes } from 'node:crypto'
import { zstdCompressSync } from 'node:zlib'
import { memoryStore } from '@ws/store-memory'
import { describe, expect, it } from 'vitest'
import { WorkspaceError } from '../../../src/errors.ts'
import { contentIdOf } from '../../../src/bundle/format/content-id.ts'
import {
  compressFrame,
  decodeFrame,
  decodeFrameInPool,
  encodeFrame,
  MAX_RAW_FRAME_BYTES,
  plainFrame,
} from '../../../src/bundle/format/frame.ts'
import { decodePackIndex, encodePackIndex } from '../../../src/bundle/format/pack-index.ts'
import { cutChunk, readPackIndex, readStoredFrames } from '../../../src/bundle/format/pack-reader.ts'
import { createPackWriter } from '../../../src/bundle/format/pack-writer.ts'
import { deriveRepositoryKeys, type RepositoryKeys } from '../../../src/bundle/format/repository-keys.ts'
import type { ObjectStore } from '../../../src/store/object-store.ts'

const keys = deriveRepositoryKeys(Buffer.alloc(32, 7), 'ab'.repeat(16))
const otherKeys = deriveRepositoryKeys(Buffer.alloc(32, 8), 'ab'.repeat(16))
const position = { packId: '0123456789abcdef0123456789abcdef', frame: 3 }
const text = Buffer.from('a line of a log\n'.repeat(10_000))

function corrupt(run: () => unknown): void {
  try {
    run()
  } catch (error) {
    if (WorkspaceError.is(error, 'CORRUPT')) return
    throw error
  }
  throw new Error('damage was not found')
}

async function corruptLater(run: () => Promise<unknown>): Promise<WorkspaceError> {
  try {
    await run()
  } catch (error) {
    if (WorkspaceError.is(error, 'CORRUPT')) return error
    throw error
  }
  throw new Error('damage was not found')
}

describe.each([
  ['plain', null],
  ['encrypted', keys],
] as const)('a frame in a repository that is %s', (_, frameKeys) => {
  it.each([
    ['text', text],
    ['noise', randomBytes(100_000)],
    ['one byte', Buffer.from('x')],
    ['nothing', Buffer.alloc(0)],
  ])('comes back: %s', async (_name, raw) => {
    for (const content of [compressFrame(raw), plainFrame(raw)]) {
      const stored = encodeFrame(content, position, frameKeys)
      expect(Buffer.from(decodeFrame(stored, position, frameKeys)).equals(raw)).toBe(true)
      expect(Buffer.from(await decodeFrameInPool(stored, position, frameKeys)).equals(raw)).toBe(true)
    }
  })

  it('is found damaged when any header byte, or its length, is another', () => {
    const stored = encodeFrame(compressFrame(text), position, frameKeys)
    for (let index = 0; index < 12; index += 1) {
      for (const bit of [1, 0x80]) {
        const changed = Buffer.from(stored)
        changed[index] = (changed[index] ?? 0) ^ bit
        corrupt(() => decodeFrame(changed, position, frameKeys))
      }
    }
    for (const length of [0, 5, 12, 20, stored.length - 1]) {
      corrupt(() => decodeFrame(stored.subarray(0, length), position, frameKeys))
    }
    corrupt(() => decodeFrame(Buffer.concat([stored, Buffer.from('x')]), position, frameKeys))
  })
})

describe('an encrypted frame', () => {
  const stored = encodeFrame(compressFrame(text), position, keys)

  it('opens only with its key, in its pack and in its place', () => {
    corrupt(() => decodeFrame(stored, position, otherKeys))
    corrupt(() => decodeFrame(stored, position, null))
    corrupt(() => decodeFrame(stored, { ...position, frame: 4 }, keys))
    corrupt(() => decodeFrame(stored, { ...position, packId: 'f'.repeat(32) }, keys))
    corrupt(() => decodeFrame(encodeFrame(compressFrame(text), position, null), position, keys))
  })

  it('is found damaged when any of its bytes is another', () => {
    const small = encodeFrame(plainFrame(Buffer.from('secret')), position, keys)
    for (let index = 0; index < small.length; index += 97) {
      const changed = Buffer.from(small)
      changed[index] = (changed[index] ?? 0) ^ 4
      corrupt(() => decodeFrame(changed, position, keys))
    }
  })

  it('is as long for any small content', () => {
    const lengths = [0, 1, 100, 4000].map(
      (size) => encodeFrame(plainFrame(randomBytes(size)), position, keys).length,
    )
    expect(new Set(lengths).size).toBe(1)
  })
})

describe('a hostile frame', () => {
  const lie = (codec: number, rawBytes: number, payload: Uint8Array): Buffer =>
    encodeFrame({ codec, rawBytes, payload }, position, null)

  it.each([
    ['says to hold less than it expands to', lie(1, 100, zstdCompressSync(Buffer.alloc(50_000_000)))],
    ['says to hold more than it expands to', lie(1, 1000, zstdCompressSync(Buffer.alloc(100)))],
    [
      'says to hold more than is allowed',
      lie(1, MAX_RAW_FRAME_BYTES + 1, zstdCompressSync(Buffer.alloc(10))),
    ],
    ['has an unknown codec', lie(9, 10, Buffer.alloc(10))],
    ['is not what its codec says', lie(1, 10, Buffer.from('not zstd!!'))],
    ['is not deflate either', lie(2, 10, Buffer.from('not deflate'))],
    ['holds plain bytes of another length', lie(0, 10, Buffer.alloc(9))],
  ])('is refused: it %s', async (_, stored) => {
    corrupt(() => decodeFrame(stored, position, null))
    await corruptLater(() => decodeFrameInPool(stored, position, null))
  })
})

async function storePack(frameKeys: RepositoryKeys | null, store: ObjectStore) {
  const writer = createPackWriter(frameKeys)
  const chunks = Array.from({ length: 20 }, (_, index) => randomBytes(1000 + index * 100))
  for (let first = 0; first < chunks.length; first += 2) {
    const pair = chunks.slice(first, first + 2)
    let offset = 0
    const places = pair.map((content) => {
      const place = { id: contentIdOf(content, frameKeys), offset, length: content.length }
      offset += content.length
      return place
    })
    writer.addFrame(first < 10 ? 'data' : 'tree', compressFrame(Buffer.concat(pair)), places)
  }
  const { bytes: packBytes, reference } = writer.finish()
  const bytes = Buffer.from(packBytes)
  await store.put(`packs/${reference.id}`, bytes)
  const source = { store, keys: frameKeys, packKey: (id: string) => `packs/${id}` }
  return { chunks, reference, source, bytes, key: `packs/${reference.id}` }
}

function withoutRanges(store: ObjectStore): ObjectStore {
  return {
    ...store,
    get: (key, options) => store.get(key, { signal: options?.signal }),
    capabilities: { ...store.capabilities, rangeReads: false },
  }
}

describe.each([
  ['plain', null],
  ['encrypted', keys],
] as const)('a pack in a repository that is %s', (_, frameKeys) => {
  it.each([
    ['with ranged reads', (store: ObjectStore) => store],
    ['without ranged reads', withoutRanges],
  ])('gives every chunk back from a store %s', async (_name, wrap) => {
    const { chunks, reference, source } = await storePack(frameKeys, wrap(memoryStore()))
    const index = await readPackIndex(source, reference)
    expect(index.chunkCount).toBe(20)
    for (const frames of [[...index.frames.keys()], [0], [1, 2, 9], [0, 4, 5]]) {
      const seen: number[] = []
      for await (const { frame, stored } of readStoredFrames(source, index, frames)) {
        seen.push(frame)
        const raw = decodeFrame(stored, { packId: reference.id, frame }, frameKeys)
        for (const content of chunks.slice(frame * 2, frame * 2 + 2)) {
          const chunk = index.find(contentIdOf(content, frameKeys))
          if (chunk === null) throw new Error('a chunk is not in the index')
          expect(Buffer.from(cutChunk(reference.id, raw, chunk, frameKeys)).equals(content)).toBe(true)
        }
      }
      expect(seen).toEqual(frames)
    }
    expect(index.find('0'.repeat(64))).toBeNull()
  })

  it('is found damaged when any byte of its index or trailer is another', async () => {
    const { reference, source, bytes, key } = await storePack(frameKeys, memoryStore())
    for (let index = bytes.length - reference.indexBytes; index < bytes.length; index += 7) {
      const changed = Buffer.from(bytes)
      changed[index] = (changed[index] ?? 0) ^ 0x10
      await source.store.put(key, changed)
      await corruptLater(() => readPackIndex(source, reference))
    }
  })

  it('is not taken for another one of the same lengths, and says which object', async () => {
    const { reference, source, bytes, key } = await storePack(frameKeys, memoryStore())
    const other = { ...reference, id: 'f'.repeat(32) }
    await source.store.put(source.packKey(other.id), bytes)
    expect((await readPackIndex(source, reference)).packId).toBe(reference.id)
    const error = await corruptLater(() => readPackIndex(source, other))
    expect(error.message).toContain(other.id)
    expect(error.message).not.toContain(key)
  })

  it('is found damaged when it is cut off or gone, and says which object', async () => {
    const { reference, source, bytes, key } = await storePack(frameKeys, memoryStore())
    for (const length of [0, 10, bytes.length - 1]) {
      await source.store.put(key, bytes.subarray(0, length))
      await corruptLater(() => readPackIndex(source, reference))
    }
    await source.store.delete(key)
    const error = await corruptLater(() => readPackIndex(source, reference))
    expect(error.message).toContain(key)
  })
})

describe('a hostile pack index', () => {
  const frame = { offset: 8, storedBytes: 100, rawBytes: 50, kind: 'data' as const }
  const chunk = { id: 'a'.repeat(64), frame: 0, offset: 0, length: 50 }
  const huge = Buffer.alloc(8)
  huge.writeUInt32LE(0xffff_ffff)

  it.each([
    ['frames that do not begin at the beginning', encodePackIndex([{ ...frame, offset: 9 }], [])],
    ['frames that do not reach the index', encodePackIndex([{ ...frame, storedBytes: 99 }], [])],
    ['frames that overlap', encodePackIndex([frame, { ...frame, offset: 50 }], [])],
    ['a frame larger than allowed', encodePackIndex([{ ...frame, rawBytes: 2 ** 31 }], [])],
    ['a chunk past its frame', encodePackIndex([frame], [{ ...chunk, length: 51 }])],
    ['a chunk in no frame', encodePackIndex([frame], [{ ...chunk, frame: 1 }])],
    ['chunks that overlap', encodePackIndex([frame], [chunk, { ...chunk, offset: 10, length: 1 }])],
    [
      'chunks out of order',
      encodePackIndex(
        [frame],
        [
          { ...chunk, offset: 20, length: 1 },
          { ...chunk, length: 1 },
        ],
      ),
    ],
    ['more frames than bytes', huge],
    ['bytes after its end', Buffer.concat([encodePackIndex([frame], []), Buffer.alloc(1)])],
    ['nothing', Buffer.alloc(0)],
  ])('is refused: %s', (_, raw) => {
    corrupt(() => decodePackIndex(raw, 'ab'.repeat(16), 8, 108))
  })
})
