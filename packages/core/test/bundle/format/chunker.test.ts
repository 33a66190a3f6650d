import { Buffer } from 'node:buffer'
import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  createChunkerMemory,
  createPlainChunker,
  gearTable,
  MAX_CHUNK_BYTES,
  MIN_CHUNK_BYTES,
  openChunker,
  type Chunker,
} from '../../../src/bundle/format/chunker.ts'
import { contentIdOf } from '../../../src/bundle/format/content-id.ts'
import { deriveRepositoryKeys } from '../../../src/bundle/format/repository-keys.ts'

const SIZE = 8 * 1024 * 1024
const gear = gearTable(null)

function wasm(table: Int32Array): Chunker {
  const memory = createChunkerMemory(table, SIZE)
  if (memory === null) throw new Error('this Node has no WebAssembly')
  return openChunker(memory)
}

function cuts(chunker: Chunker, content: Uint8Array): number[] {
  chunker.buffer.set(content)
  const ends: number[] = []
  for (let start = 0; start < content.length; start = ends.at(-1) ?? 0) {
    ends.push(chunker.cut(start, content.length))
  }
  return ends
}

function chunkIds(content: Uint8Array): string[] {
  const ends = cuts(wasm(gear), content)
  return ends.map((end, index) => contentIdOf(content.subarray(ends[index - 1] ?? 0, end), null))
}

describe('chunker', () => {
  const plain = createPlainChunker(gear, SIZE)
  const fast = wasm(gear)

  it('cuts alike with and without WebAssembly, whatever the content', () => {
    const piece = fc.record({
      bytes: fc.uint8Array({ minLength: 1, maxLength: 300 }),
      times: fc.integer({ min: 1, max: 3000 }),
    })
    fc.assert(
      fc.property(fc.array(piece, { minLength: 1, maxLength: 8 }), (pieces) => {
        const repeated = pieces.map(({ bytes, times }) => Buffer.alloc(bytes.length * times, bytes))
        const content = Buffer.concat([...repeated, randomBytes(200_000)]).subarray(0, SIZE)
        expect(cuts(fast, content)).toEqual(cuts(plain, content))
      }),
      { numRuns: 40 },
    )
  })

  it('cuts alike at the lengths where its rules change', () => {
    for (const length of [1, 65_535, 65_536, 65_537, 262_143, 262_144, 262_145, 1_048_576, 1_048_577]) {
      for (const content of [Buffer.alloc(length), randomBytes(length)]) {
        expect(cuts(fast, content)).toEqual(cuts(plain, content))
      }
    }
  })

  it('makes chunks of 64 KiB to 1 MiB, but for the last', () => {
    for (const content of [randomBytes(SIZE), Buffer.alloc(SIZE), Buffer.alloc(SIZE, 'log line\n')]) {
      const ends = cuts(fast, content)
      expect(ends.at(-1)).toBe(SIZE)
      ends.slice(0, -1).forEach((end, index) => {
        const length = end - (ends[index - 1] ?? 0)
        expect(length).toBeGreaterThan(MIN_CHUNK_BYTES)
        expect(length).toBeLessThanOrEqual(MAX_CHUNK_BYTES)
      })
    }
  })

  it('finds its cuts again after bytes were put in or taken out near the beginning', () => {
    const content = randomBytes(SIZE - 1000)
    const before = new Set(chunkIds(content))
    for (const changed of [
      Buffer.concat([Buffer.from('x'), content]),
      content.subarray(1),
      Buffer.concat([content.subarray(0, 1000), randomBytes(500), content.subarray(1000)]),
    ]) {
      const fresh = chunkIds(changed).filter((id) => !before.has(id))
      expect(fresh.length).toBeLessThanOrEqual(3)
    }
  })

  it('cuts elsewhere under another key', () => {
    const content = randomBytes(SIZE)
    const keys = deriveRepositoryKeys(Buffer.alloc(32, 1), '00'.repeat(16))
    const other = deriveRepositoryKeys(Buffer.alloc(32, 2), '00'.repeat(16))
    const keyed = cuts(wasm(gearTable(keys)), content)
    expect(keyed).toEqual(cuts(createPlainChunker(gearTable(keys), SIZE), content))
    expect(keyed).not.toEqual(cuts(fast, content))
    expect(keyed).not.toEqual(cuts(wasm(gearTable(other)), content))
  })
})
