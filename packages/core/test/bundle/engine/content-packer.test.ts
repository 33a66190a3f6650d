import { createHash } from 'node:crypto'
import { expect, test } from 'vitest'
import { createContentPacker } from '../../../src/bundle/engine/repository/content-packer.ts'
import { contentIdOf } from '../../../src/bundle/format/content-id.ts'

const KIB = 1024
/** So much that the bytes of a pack around its frame do not count. */
const contentBytes = [16 * KIB, 16 * KIB + 1, 40_000, 65_537, 300_001, 1024 * KIB]

const kinds: Record<string, { readonly isNoise: boolean; readonly make: (bytes: number) => Buffer }> = {
  noise: { isNoise: true, make: noise },
  'one byte': { isNoise: false, make: (bytes) => Buffer.alloc(bytes, 7) },
  'the text of a program': {
    isNoise: false,
    make: (bytes) =>
      Buffer.alloc(bytes, 'export function add(left: number, right: number) { return left + right }\n'),
  },
  // Every 256th byte of it has another value each time, so that steps of a power of two would see nothing but noise.
  'records of 256 bytes with a number in front': {
    isNoise: false,
    make: (bytes) => {
      const content = Buffer.alloc(bytes, 'a')
      const numbers = noise(bytes)
      for (let at = 0; at < bytes; at += 256) content[at] = numbers[at] ?? 0
      return content
    },
  },
}

for (const [kind, { isNoise, make }] of Object.entries(kinds)) {
  test.each(contentBytes)(
    `${kind} of %i bytes is ${isNoise ? 'stored as it is' : 'compressed'}`,
    async (bytes) => {
      const content = make(bytes)
      let packBytes = 0
      const packer = createContentPacker(null, {
        put(_reference, pack) {
          packBytes += pack.length
          return Promise.resolve(null)
        },
      })
      packer.add('data', contentIdOf(content, null), content)
      const [pack] = await packer.finish()
      packer.close()
      expect(pack?.chunks).toHaveLength(1)
      if (isNoise) expect(packBytes).toBeGreaterThan(bytes)
      else expect(packBytes).toBeLessThan(bytes / 4)
    },
  )
}

/** The same each time. */
function noise(bytes: number): Buffer {
  return createHash('shake256', { outputLength: bytes }).update(String(bytes)).digest()
}
