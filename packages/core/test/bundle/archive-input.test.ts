import { Buffer } from 'node:buffer'
import { randomBytes } from 'node:crypto'
import {
  createReadStream,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { memoryStore } from '@ws/store-memory'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createBundle } from '../../src/bundle/archive/create-bundle.ts'
import { checkBundle, extractBundle } from '../../src/bundle/archive/extract-bundle.ts'
import { createBundleStore } from '../../src/bundle/create-bundle-store.ts'

let base = ''
let target = ''

beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'ws-input-'))
  target = join(base, 'target')
})

afterEach(() => {
  rmSync(base, { recursive: true, force: true })
})

/** @param bytes of content, which does not compress */
async function archiveOf(bytes: number): Promise<{ archive: Buffer; content: Buffer }> {
  const source = join(base, 'source')
  const content = randomBytes(bytes)
  mkdirSync(source)
  writeFileSync(join(source, 'file'), content)
  return { archive: Buffer.concat(await Array.fromAsync(createBundle(source))), content }
}

type Take = (bundle: AsyncIterable<Uint8Array>) => Promise<unknown>

const takers: [string, Take][] = [
  ['extractBundle', (bundle) => extractBundle(bundle, target)],
  ['checkBundle', (bundle) => checkBundle(bundle)],
  ['upload', (bundle) => createBundleStore(memoryStore()).upload('w', bundle)],
]

describe.each(takers)('%s', (_, take) => {
  it('rejects with what the source throws, which says nothing about the target', async () => {
    const missing = join(base, 'missing.tar.zst')
    await expect(take(createReadStream(missing))).rejects.toMatchObject({ code: 'ENOENT', path: missing })
    expect(existsSync(target)).toBe(false)
  })

  it.each([1000, 600_000])(
    'refuses what is no chunk of bytes, wherever it comes (of %d bytes)',
    async (size) => {
      const { archive } = await archiveOf(size)
      async function* mixed() {
        yield archive.subarray(0, archive.length - 100)
        yield archive.toString('latin1', archive.length - 100) as unknown as Uint8Array
      }
      await expect(take(mixed())).rejects.toMatchObject({ code: 'INVALID_INPUT' })
      expect(existsSync(target)).toBe(false)
    },
  )
})

it.each([1000, 600_000])(
  'A source may use its buffer again when it is asked for more (%d bytes)',
  async (size) => {
    const { archive, content } = await archiveOf(size)
    async function* reusing() {
      const buffer = Buffer.alloc(3000)
      for (let offset = 0; offset < archive.length; offset += buffer.length) {
        yield buffer.subarray(0, archive.copy(buffer, 0, offset))
      }
    }
    await extractBundle(reusing(), target)
    expect(readFileSync(join(target, 'file')).equals(content)).toBe(true)
  },
)
