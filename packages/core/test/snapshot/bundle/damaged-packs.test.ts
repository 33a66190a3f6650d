import { readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { collect, createFixture, describeTree, type Fixture } from './bundle-fixture.ts'

const content = Buffer.from(Array.from({ length: 300_000 }, (_, at) => (at * at * 7) % 251))

/** Two snapshots, and damage in the pack of the first that keeps its length. */
async function prepare(damage: (pack: Buffer) => void) {
  const fixture = createFixture()
  const { open, write, stateDirectory } = fixture
  write('large.bin', content)
  const backend = await open()
  const before = await backend.capture({ label: 'before' })
  const packs = join(stateDirectory, 'bundle/store/packs')
  const [name = ''] = readdirSync(packs)
  write('a.txt', 'changed')
  const after = await backend.capture({ label: 'after' })
  const pack = readFileSync(join(packs, name))
  damage(pack)
  writeFileSync(join(packs, name), pack)
  return { ...fixture, before, after, backend }
}

/** Everything that it holds can be had. */
async function expectWhole({ open, path, write }: Fixture, label: string): Promise<void> {
  const backend = await open()
  const snapshot = await backend.capture({ label })
  const state = describeTree(path)
  rmSync(join(path, 'src'), { recursive: true })
  write('large.bin', 'spoilt')
  write('a.txt', 'spoilt')
  expect((await backend.rollback(snapshot)).verified).toBe(true)
  expect(describeTree(path)).toEqual(state)
}

const damages: readonly [name: string, damage: (pack: Buffer) => void][] = [
  ['a file that was not written', (pack) => pack.fill(0)],
  ['a content that was', (pack) => pack.fill(0x55, 40, 400)],
]

describe.each(damages)('a pack of the private store of which a disk lost %s', (_, damage) => {
  it('is named once it is met, and the next snapshot holds everything anew and says so', async () => {
    const fixture = await prepare(damage)
    const { backend, before, write, path } = fixture
    write('large.bin', 'spoilt')
    rmSync(join(path, 'src'), { recursive: true })
    const state = describeTree(path)
    await expect(backend.rollback(before)).rejects.toMatchObject({
      code: 'CORRUPT',
      message: expect.stringMatching(/pack [0-9a-f]{32}.*the next snapshot stores everything anew/) as string,
    })
    expect(describeTree(path)).toEqual(state)
    write('large.bin', content)
    write('src/b.txt', 'three\n')
    const { notes } = await backend.capture({ label: 'noted' })
    expect(notes).toEqual([expect.stringContaining('Everything was stored anew')])
    expect((await backend.capture({ label: 'again' })).notes).toBeUndefined()
    await expectWhole(fixture, 'later')
  })

  it('is noticed by a patch as well', async () => {
    const fixture = await prepare(damage)
    const { backend, before, after } = fixture
    await expect(collect(backend.patch(before, after))).rejects.toMatchObject({ code: 'CORRUPT' })
    await expectWhole(fixture, 'later')
  })

  it('stops no snapshot that has to read of it', async () => {
    const fixture = await prepare(damage)
    for (const name of readdirSync(join(fixture.stateDirectory, 'bundle'), {
      recursive: true,
      encoding: 'utf8',
    }))
      if (name.endsWith('/states')) rmSync(join(fixture.stateDirectory, 'bundle', name))
    await (await fixture.open()).capture({ label: 'cold' })
  })
})
