import { Buffer } from 'node:buffer'
import { describe, expect, it } from 'vitest'
import { WorkspaceError } from '../../../src/errors.ts'
import {
  createFormatMarker,
  decodeFormatMarker,
  encodeFormatMarker,
  openFormatMarker,
  type FormatMarker,
} from '../../../src/bundle/format/format-marker.ts'
import { deriveRepositoryKeys } from '../../../src/bundle/format/repository-keys.ts'
import {
  decodeVersionRecord,
  encodeVersionRecord,
  MAX_RECORD_BYTES,
  type VersionRecord,
} from '../../../src/bundle/format/version-record.ts'

const keys = deriveRepositoryKeys(Buffer.alloc(32, 7), 'ab'.repeat(16))
const record: VersionRecord = {
  format: 1,
  workspaceId: 'work-1',
  version: 7,
  parent: { workspaceId: 'origin', version: 3 },
  nonce: '0'.repeat(32),
  message: 'Zürich 🎉',
  author: null,
  metadata: { b: '2', a: '1', __proto__x: 'y' },
  tags: ['stable'],
  createdAt: '2026-01-02T03:04:05.678Z',
  template: false,
  root: { node: 'd'.repeat(64), mode: 0o755, mtimeSeconds: -5, mtimeNanoseconds: 6 },
  packs: [{ id: 'e'.repeat(32), bytes: 1000, indexBytes: 100 }],
  stats: { files: 1, directories: 2, symlinks: 3, contentBytes: 4 },
}
const reference = { workspaceId: 'work-1', version: 7 }

function codeOf(run: () => unknown): string {
  try {
    run()
  } catch (error) {
    if (WorkspaceError.is(error)) return error.code
    throw error
  }
  return 'nothing was thrown'
}

describe.each([
  ['plain', null],
  ['encrypted', keys],
] as const)('a version record in a repository that is %s', (_, recordKeys) => {
  const bytes = encodeVersionRecord(record, recordKeys)

  it('comes back', () => {
    expect(decodeVersionRecord(bytes, reference, recordKeys)).toEqual(record)
  })

  it('is found damaged when any of its bytes is another, or when it is cut off', () => {
    for (let index = 0; index < bytes.length; index += 1) {
      const changed = Buffer.from(bytes)
      changed[index] = (changed[index] ?? 0) ^ 2
      expect(['CORRUPT', 'UNSUPPORTED']).toContain(
        codeOf(() => decodeVersionRecord(changed, reference, recordKeys)),
      )
    }
    for (const length of [0, 1, 30, bytes.length - 1]) {
      expect(codeOf(() => decodeVersionRecord(bytes.subarray(0, length), reference, recordKeys))).toBe(
        'CORRUPT',
      )
    }
  })

  it('is not made when it would be larger than what is read', () => {
    const roomFor = (spare: number): string => 'm'.repeat(MAX_RECORD_BYTES - 36 - overhead - spare)
    const overhead = encodeVersionRecord({ ...record, message: '' }, null).length
    const largest = encodeVersionRecord({ ...record, message: roomFor(0) }, recordKeys)
    expect(decodeVersionRecord(largest, reference, recordKeys).message).toBe(roomFor(0))
    expect(codeOf(() => encodeVersionRecord({ ...record, message: roomFor(-1) }, recordKeys))).toBe(
      'QUOTA_EXCEEDED',
    )
  })

  it('is refused in the place of another version or workspace', () => {
    for (const other of [
      { ...reference, version: 8 },
      { ...reference, workspaceId: 'work-2' },
    ]) {
      expect(codeOf(() => decodeVersionRecord(bytes, other, recordKeys))).toBe('CORRUPT')
    }
  })
})

describe('a hostile version record', () => {
  it.each([
    ['a higher format', { format: 2 }, 'UNSUPPORTED'],
    ['a version that is a text', { version: '7' }, 'CORRUPT'],
    ['packs that are no list', { packs: {} }, 'CORRUPT'],
    ['a pack with a path for an id', { packs: [{ id: '../../etc', bytes: 1, indexBytes: 1 }] }, 'CORRUPT'],
    ['a pack of negative length', { packs: [{ id: 'e'.repeat(32), bytes: -1, indexBytes: 1 }] }, 'CORRUPT'],
    ['a root that is no content id', { root: { ...record.root, node: 'x' } }, 'CORRUPT'],
    ['metadata that is no text', { metadata: { a: 1 } }, 'CORRUPT'],
    ['a negative size', { stats: { ...record.stats, contentBytes: -1 } }, 'CORRUPT'],
  ])('is refused: %s', (_, change, code) => {
    const bytes = Buffer.from(JSON.stringify({ ...record, ...change, checksum: 'f'.repeat(64) }))
    expect(codeOf(() => decodeVersionRecord(bytes, reference, null))).toBe(code)
  })

  it('is refused when nothing of it is JSON', () => {
    for (const text of ['', 'null', '[]', '{"format":1}', '\xff']) {
      expect(codeOf(() => decodeVersionRecord(Buffer.from(text, 'latin1'), reference, null))).toBe('CORRUPT')
    }
  })
})

describe('the format marker', () => {
  it('opens with the key or the passphrase that it was made with, and derives the same keys', async () => {
    for (const source of [{ key: Buffer.alloc(32, 3) }, { passphrase: 'correct horse' }]) {
      const { marker, keys: made } = await createFormatMarker(source)
      const read = decodeFormatMarker(encodeFormatMarker(marker))
      expect(read).toEqual(marker)
      expect(await openFormatMarker(read, source)).toEqual(made)
    }
  })

  it('refuses another key, another passphrase, none, or one too many', async () => {
    const byKey = (await createFormatMarker({ key: Buffer.alloc(32, 3) })).marker
    const byPassphrase = (await createFormatMarker({ passphrase: 'a' })).marker
    const plain = (await createFormatMarker(null)).marker
    await expect(openFormatMarker(byKey, { key: Buffer.alloc(32, 4) })).rejects.toMatchObject({
      code: 'ACCESS_DENIED',
    })
    await expect(openFormatMarker(byPassphrase, { passphrase: 'b' })).rejects.toMatchObject({
      code: 'ACCESS_DENIED',
    })
    await expect(openFormatMarker(byKey, null)).rejects.toMatchObject({ code: 'INVALID_INPUT' })
    await expect(openFormatMarker(byKey, { passphrase: 'a' })).rejects.toMatchObject({
      code: 'INVALID_INPUT',
    })
    await expect(openFormatMarker(plain, { passphrase: 'a' })).rejects.toMatchObject({
      code: 'INVALID_INPUT',
    })
    await expect(createFormatMarker({ key: Buffer.alloc(31) })).rejects.toMatchObject({
      code: 'INVALID_INPUT',
    })
    expect(await openFormatMarker(plain, null)).toBeNull()
  })

  it('refuses a marker that another one was made of', async () => {
    const first = (await createFormatMarker({ key: Buffer.alloc(32, 3) })).marker
    const moved = { ...first, repository: 'ab'.repeat(16) }
    await expect(openFormatMarker(moved, { key: Buffer.alloc(32, 3) })).rejects.toMatchObject({
      code: 'ACCESS_DENIED',
    })
  })

  it('refuses what is newer or would exhaust the machine', () => {
    const scrypt = { N: 32_768, r: 8, p: 1, salt: 'A'.repeat(44) }
    const encryption = { cipher: 'aes-256-gcm', keySource: 'scrypt', scrypt, wrappedKeys: 'AAAA' }
    const marker = { format: 'ws-bundles', version: 1, repository: 'ab'.repeat(16), encryption }
    const decode = (change: object) =>
      codeOf(() => decodeFormatMarker(encodeFormatMarker({ ...marker, ...change } as FormatMarker)))
    expect(decode({})).toBe('nothing was thrown')
    expect(decode({ version: 2 })).toBe('UNSUPPORTED')
    expect(decode({ format: 'other' })).toBe('CORRUPT')
    expect(decode({ encryption: { ...encryption, cipher: 'rot13' } })).toBe('UNSUPPORTED')
    for (const change of [{ N: 2 ** 24 }, { N: 1000 }, { r: 1_000_000 }, { p: 1_000_000 }, { salt: 'x' }]) {
      expect(decode({ encryption: { ...encryption, scrypt: { ...scrypt, ...change } } })).toBe('CORRUPT')
    }
  })
})
