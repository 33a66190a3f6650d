import { randomBytes } from 'node:crypto'
import { chmodSync, cpSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { collect, createFixture, describeTree, runUserGit } from './git-fixture.ts'

/** A snapshot whose content is in a pack that it shares with the user's repository. */
async function prepare() {
  const fixture = createFixture()
  fixture.write('z.bin', randomBytes(100_000))
  fixture.write('y.bin', randomBytes(50_000))
  fixture.git('add', '-A')
  fixture.git('commit', '-q', '-m', 'large')
  fixture.git('repack', '-q', '-a', '-d')
  fixture.ageFiles()
  const backend = await fixture.open()
  const before = await backend.capture({ label: 'before' })
  const original = describeTree(fixture.path)
  const packs = join(fixture.stateDirectory, 'git/sha1/objects/pack')
  const name = readdirSync(packs).find((each) => each.endsWith('.pack')) ?? ''
  /** Writes to the pack in place, so that the user's repository is damaged too. */
  const damage = (where: (length: number) => readonly [number, number]) => {
    const bytes = readFileSync(join(packs, name))
    bytes.fill(0x55, ...where(bytes.length))
    chmodSync(join(packs, name), 0o600)
    writeFileSync(join(packs, name), bytes)
  }
  return { ...fixture, backend, before, original, packs, name, damage }
}

const inTheLargeFile = (length: number) => [length - 60_000, length - 55_000] as const
const everything = (length: number) => [14, length - 20] as const

describe('a pack of the private store that something else wrote to', () => {
  it('costs nothing while the files are as they were: their content is stored anew', async () => {
    const { backend, before, original, write, path, packs, name, damage } = await prepare()
    damage(inTheLargeFile)
    write('a.txt', 'changed')
    const after = await backend.capture({ label: 'after', previous: before })
    rmSync(join(path, 'src'), { recursive: true })
    expect((await backend.rollback(before)).verified).toBe(true)
    expect(describeTree(path)).toEqual(original)
    for (const file of ['z.bin', 'y.bin', 'a.txt']) write(file, 'spoilt')
    const spoilt = await backend.capture({ label: 'x' })
    await expect(backend.rollback(before)).rejects.toMatchObject({
      code: 'CORRUPT',
      details: { lost: ['z.bin'] },
    })
    await expect(backend.changes(after, spoilt)).rejects.toMatchObject({ code: 'CORRUPT' })
    expect(readdirSync(packs)).not.toContain(name)
  })

  it('is mended by the repository of the user where that has been mended', async () => {
    const { backend, before, original, write, path, outside, stateDirectory, damage } = await prepare()
    runUserGit(outside, 'clone', '-q', '--bare', '--no-hardlinks', path, 'copy')
    damage(everything)
    rmSync(join(path, '.git/objects'), { recursive: true })
    cpSync(join(outside, 'copy/objects'), join(path, '.git/objects'), { recursive: true })
    for (const file of ['z.bin', 'y.bin', 'a.txt']) write(file, 'spoilt')
    expect((await backend.rollback(before)).verified).toBe(true)
    expect(describeTree(path)).toEqual(original)
    const { notes } = await backend.capture({ label: 'x' })
    expect(notes).toEqual([expect.stringContaining('stored anew')])
    expect(readdirSync(join(stateDirectory, 'git/sha1'))).not.toContain('damaged')
  })

  it('says what is lost, in which snapshots, and everything else can be had', async () => {
    const { backend, before, write, read, damage } = await prepare()
    for (const file of ['z.bin', 'y.bin', 'a.txt']) write(file, 'spoilt')
    const after = await backend.capture({ label: 'after', previous: before })
    damage(inTheLargeFile)
    await expect(collect(backend.patch(before, after))).rejects.toMatchObject({
      code: 'CORRUPT',
      message: expect.stringMatching(/lost is the content of "z.bin" in 1 snapshots/),
      details: { lost: ['z.bin'], snapshots: [before.id] },
    })
    await backend.rollback(before, { paths: ['y.bin', 'a.txt'] })
    expect(read('a.txt')).toBe('one\ntwo\n')
    expect(read('z.bin')).toBe('spoilt')
  })

  it('does not stop the next snapshot, which reads from the files what the store lost', async () => {
    const { backend, before, write, path, damage } = await prepare()
    for (const file of ['z.bin', 'y.bin']) write(file, 'spoilt')
    await backend.capture({ label: 'after' })
    damage(everything)
    await expect(backend.rollback(before)).rejects.toMatchObject({ code: 'CORRUPT' })
    const again = await backend.capture({ label: 'again' })
    const state = describeTree(path)
    rmSync(join(path, 'src'), { recursive: true })
    for (const file of ['z.bin', 'y.bin', 'a.txt']) write(file, 'more')
    expect((await backend.rollback(again)).verified).toBe(true)
    expect(describeTree(path)).toEqual(state)
  })
})
