import { randomBytes } from 'node:crypto'
import { readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { deflateSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import type { WorkspaceError } from '../../../src/errors.ts'
import type { SnapshotBackend } from '../../../src/snapshot/snapshot-backend.ts'
import { createFixture as createBundleFixture, describeTree } from '../bundle/bundle-fixture.ts'
import { createFixture as createGitFixture } from '../git/git-fixture.ts'

const SMALL_BYTES = 5_000
const LARGE_BYTES = 3_000_000
/** Of more than a rollback keeps in memory. */
const OVER_HELD_BYTES = 34_000_000

interface Damageable {
  readonly path: string
  readonly write: (name: string, content: Uint8Array) => void
  readonly open: () => Promise<SnapshotBackend>
  /** Where the store keeps content. */
  readonly objects: string
  readonly damage: (stored: Buffer, size: number) => Buffer
}

const bundle = () => {
  const fixture = createBundleFixture()
  return { ...fixture, objects: join(fixture.stateDirectory, 'bundle/store/packs') }
}
const git = () => {
  const fixture = createGitFixture()
  return { ...fixture, objects: join(fixture.stateDirectory, 'git/sha1/objects') }
}
const spoilt = (stored: Buffer) => Buffer.from(stored).fill(0x55, 40, 440)
const blobOf = (size: number) =>
  deflateSync(Buffer.concat([Buffer.from(`blob ${size}\0`), Buffer.alloc(size, 'x')]))

const stores: readonly [name: string, prepare: () => Damageable][] = [
  ['a pack of the bundle backend', () => ({ ...bundle(), damage: spoilt })],
  ['a loose object of the git backend', () => ({ ...git(), damage: spoilt })],
  [
    'a loose object of the git backend that holds something else of the same size',
    () => ({ ...git(), damage: (_, size) => blobOf(size) }),
  ],
]

function filesIn(directory: string): string[] {
  const names = readdirSync(directory, { recursive: true, encoding: 'utf8' })
  return names.map((name) => join(directory, name)).filter((name) => statSync(name).isFile())
}

describe.each(stores)('damage in %s', (_, prepare) => {
  it.each([SMALL_BYTES, LARGE_BYTES])(
    'of what the target and the state before both need (%d bytes) is met before anything is removed (case 49)',
    async (size) => {
      const { path, write, open, objects, damage } = prepare()
      const backend = await open()
      await backend.capture({ label: 'first' })
      const earlier = new Set(filesIn(objects))
      const shared = randomBytes(size)
      write('shared.bin', shared)
      const before = await backend.capture({ label: 'before' })
      const [holder = ''] = filesIn(objects).filter(
        (file) => !earlier.has(file) && statSync(file).size >= size,
      )
      rmSync(join(path, 'shared.bin'))
      write('moved/here.bin', shared)
      write('other.txt', Buffer.from('an edit'))
      await backend.capture({ label: 'after' })
      const state = describeTree(path)
      const stored = readFileSync(holder)
      // Not in place: another name of it may lie elsewhere.
      rmSync(holder)
      writeFileSync(holder, damage(stored, size))
      const refusal: unknown = await backend.rollback(before).catch((error: unknown) => error)
      expect(refusal).toMatchObject({ code: 'CORRUPT' })
      expect(JSON.stringify((refusal as WorkspaceError).details)).toContain('shared.bin')
      expect(describeTree(path)).toEqual(state)
    },
  )
})

it.each([
  ['bundle', bundle],
  ['git', git],
] as const)('more content than is kept in memory comes back whole by %s', async (_, prepare) => {
  const { path, write, open } = prepare()
  const backend = await open()
  for (const [name, size] of [
    ['a.bin', SMALL_BYTES],
    ['b.bin', OVER_HELD_BYTES],
    ['c.bin', SMALL_BYTES],
    ['d.bin', LARGE_BYTES],
  ] as const)
    write(name, randomBytes(size))
  const before = await backend.capture({ label: 'before' })
  const state = describeTree(path)
  for (const name of ['a.bin', 'b.bin', 'c.bin']) write(name, Buffer.from('spoilt'))
  rmSync(join(path, 'd.bin'))
  expect((await backend.rollback(before)).verified).toBe(true)
  expect(describeTree(path)).toEqual(state)
})
