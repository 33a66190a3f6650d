import { execFileSync, spawnSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  linkSync,
  lstatSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { fillWithEachKind } from '../rollback/spoilt-workspace.ts'
import { createFixture, describeTree } from './bundle-fixture.ts'

function prepare() {
  const fixture = createFixture()
  const spoil = fillWithEachKind(fixture)
  fixture.write('.git/config', 'of the user')
  return { ...fixture, spoil }
}

describe('a rollback', () => {
  it('leaves unchanged files alone, and gives restored ones their times', async () => {
    const { open, path, spoil } = prepare()
    utimesSync(join(path, 'a.txt'), 1_700_000_000.123456, 1_700_000_000.123456)
    const backend = await open()
    const before = await backend.capture({ label: 'before' })
    spoil()
    const stamp = () => {
      const { ino, mtimeNs, ctimeNs } = lstatSync(join(path, 'group.txt'), { bigint: true })
      return [ino, mtimeNs, ctimeNs]
    }
    const untouched = stamp()
    await backend.rollback(before)
    expect(stamp()).toEqual(untouched)
    expect(lstatSync(join(path, 'a.txt'), { bigint: true }).mtimeNs / 1000n).toBe(1_700_000_000_123_456n)
  })

  it('makes hard links again among the files that it writes', async () => {
    const { open, path, write } = createFixture()
    write('one', 'shared')
    linkSync(join(path, 'one'), join(path, 'src/two'))
    const backend = await open()
    const before = await backend.capture({ label: 'before' })
    for (const name of ['one', 'src/two']) {
      unlinkSync(join(path, name))
      write(name, 'apart')
    }
    await backend.rollback(before)
    expect(statSync(join(path, 'one')).ino).toBe(statSync(join(path, 'src/two')).ino)
  })

  it('never touches what is in a .git, also one that the agent made', async () => {
    const { open, path, write } = createFixture()
    write('.git/HEAD', 'user')
    write('lib/.git/HEAD', 'user')
    write('lib/code.c', 'x')
    const backend = await open()
    const before = await backend.capture({ label: 'before' })
    write('.git/HEAD', 'agent')
    write('cloned/.git/HEAD', 'agent')
    write('cloned/file', 'agent')
    rmSync(join(path, 'lib/code.c'))
    const result = await backend.rollback(before)
    expect(result).toMatchObject({ restored: ['lib/code.c'], deleted: ['cloned/file'], verified: true })
    expect(readFileSync(join(path, '.git/HEAD'), 'utf8')).toBe('agent')
    expect(readFileSync(join(path, 'cloned/.git/HEAD'), 'utf8')).toBe('agent')
    expect((await backend.rollback(result.guard!)).verified).toBe(true)
  })

  it('follows the rules of the target, whatever rules it is called with', async () => {
    const { open, path, write } = createFixture()
    const before = await (await open({ ignore: { paths: ['cache'] } })).capture({ label: 'before' })
    write('cache/later', 'precious')
    write('made', 'x')
    const result = await (await open()).rollback(before)
    expect(result).toMatchObject({ deleted: ['made'], verified: true })
    expect(existsSync(join(path, 'cache/later'))).toBe(true)
  })

  it('works for an owner without privileges, also in directories that forbid writing', async () => {
    const { path, stateDirectory, write } = createFixture()
    write('closed/file', 'kept')
    chmodSync(join(path, 'closed'), 0o555)
    const original = describeTree(path)
    const base = join(path, '..')
    if (process.getuid?.() === 0) execFileSync('chown', ['-R', '65534:65534', base])
    chmodSync(base, 0o755)
    const script = `
      import { chmodSync, writeFileSync, rmSync } from 'node:fs'
      import { openBundleBackend } from ${JSON.stringify(new URL('../../../src/snapshot/bundle/open-bundle-backend.ts', import.meta.url).href)}
      const [path, stateDirectory] = process.argv.slice(1)
      const backend = await openBundleBackend({ path, stateDirectory })
      const before = await backend.capture({ label: 'x' })
      chmodSync(path + '/closed', 0o755)
      writeFileSync(path + '/closed/file', 'spoilt')
      writeFileSync(path + '/closed/new', 'new')
      chmodSync(path + '/closed', 0o555)
      const result = await backend.rollback(before)
      process.stdout.write(JSON.stringify([result.restored, result.deleted, result.verified]))`
    const child = spawnSync(
      process.execPath,
      ['--conditions=@ws/source', '--input-type=module', '-e', script, path, stateDirectory],
      { encoding: 'utf8', ...(process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {}) },
    )
    expect(child.stderr).toBe('')
    expect(JSON.parse(child.stdout)).toEqual([['closed/file'], ['closed/new'], true])
    expect(describeTree(path)).toEqual(original)
    chmodSync(join(path, 'closed'), 0o755)
  })
})

describe('a rollback that fails on the way', () => {
  it('brings the state before it back, and deletes nothing, when the content of the target is damaged (case 49)', async () => {
    const { open, path, write, stateDirectory } = createFixture()
    write('big.bin', Buffer.from(Array.from({ length: 100_000 }, (_, at) => (at * at * 7) % 251)))
    const backend = await open()
    const before = await backend.capture({ label: 'before' })
    write('a.txt', 'agent')
    write('new.txt', 'agent')
    unlinkSync(join(path, 'big.bin'))
    const packs = join(stateDirectory, 'bundle/store/packs')
    const [pack = ''] = readdirSync(packs)
    const kept = readFileSync(join(packs, pack))
    const damaged = Buffer.from(kept)
    for (let at = 40; at < 90; at += 1) damaged[at] = ~(damaged[at] ?? 0)
    writeFileSync(join(packs, pack), damaged)
    const state = describeTree(path)
    await expect(backend.rollback(before)).rejects.toMatchObject({ code: 'CORRUPT' })
    expect(describeTree(path)).toEqual(state)
    writeFileSync(join(packs, pack), kept)
    expect((await backend.rollback(before)).verified).toBe(true)
  })
})
