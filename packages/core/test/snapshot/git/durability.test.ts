import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { openGitBackend } from '../../../src/snapshot/git/open-git-backend.ts'
import { objectSizes } from '../../../src/snapshot/git/private/object-sizes.ts'
import { openPrivateRepository } from '../../../src/snapshot/git/private/private-repository.ts'
import { adoptObjects, wantedSet } from '../../../src/snapshot/git/private/adopt-objects.ts'
import { createFixture, createScratch, describeTree, runUserGit } from './git-fixture.ts'

/** A clean checkout, so that a snapshot can borrow everything from the user's repository; some of it packed. */
function prepare() {
  const fixture = createFixture()
  for (let number = 0; number < 100; number += 1)
    fixture.write(`many/d${number % 9}/f${number}`, `content ${number}\n`)
  fixture.git('add', '-A')
  fixture.git('commit', '-q', '-m', 'many')
  fixture.git('repack', '-q', '-d')
  fixture.write('loose.txt', 'committed, loose\n')
  fixture.git('add', '-A')
  fixture.git('commit', '-q', '-m', 'loose')
  fixture.write('staged.txt', 'staged only\n')
  fixture.git('add', '-A')
  fixture.ageFiles()
  return fixture
}

describe('a snapshot outlives', () => {
  it.each([
    [
      'an amended commit, an expired reflog and gc --prune=now (cases 61, 62, 83)',
      (path: string) => {
        runUserGit(path, 'rm', '-q', '-r', '-f', '--cached', '.')
        runUserGit(path, 'commit', '-q', '--amend', '--allow-empty', '-m', 'amended')
        runUserGit(path, 'update-ref', '-d', 'HEAD')
        runUserGit(path, 'reflog', 'expire', '--expire=now', '--all')
        runUserGit(path, 'gc', '-q', '--prune=now')
      },
    ],
    ['the removal of .git (case 82)', (path: string) => rmSync(join(path, '.git'), { recursive: true })],
    [
      'a new git init (case 82)',
      (path: string) => {
        rmSync(join(path, '.git'), { recursive: true })
        runUserGit(path, 'init', '-q')
      },
    ],
  ])('%s, and rolls back byte for byte', async (_name, destroy) => {
    const { open, path, write } = prepare()
    const original = describeTree(path)
    const backend = await open()
    const before = await backend.capture({ label: 'before' })
    rmSync(join(path, 'many'), { recursive: true })
    for (const name of ['a.txt', 'loose.txt', 'staged.txt', 'src/b.txt']) write(name, 'lost')
    destroy(path)
    const after = await backend.capture({ label: 'after', previous: before })
    const result = await backend.rollback(before, { expected: after })
    expect(result.verified).toBe(true)
    expect(describeTree(path)).toEqual(original)
  })
})

describe('objects of the user', () => {
  it('become our own also from another file system, from shared clones and from damaged ones', async () => {
    const { path, stateDirectory } = prepare()
    const ids = new Set(
      runUserGit(path, 'ls-tree', '-r', 'HEAD')
        .split('\n')
        .filter(Boolean)
        .map((line) => line.split(/\s/)[2] ?? ''),
    )
    const elsewhere = mkdtempSync('/dev/shm/ws-git-')
    onTestFinished(() => rmSync(elsewhere, { recursive: true, force: true }))
    const shared = join(stateDirectory, 'clone')
    runUserGit(stateDirectory, 'clone', '-q', '--shared', path, 'clone')
    for (const [state, source] of [
      [elsewhere, path],
      [join(stateDirectory, 'one'), shared],
    ] as const) {
      const own = await openPrivateRepository(state, 'sha1')
      await adoptObjects(own, join(source, '.git/objects'), { wanted: wantedSet(ids), useful: [] })
      renameSync(join(path, '.git'), join(path, 'hidden'))
      expect((await objectSizes(own, ids)).size).toBe(ids.size)
      renameSync(join(path, 'hidden'), join(path, '.git'))
    }
  })

  it('are replaced by what is on disk where the index names an object that is not there', async () => {
    const { open, path, git, ageFiles } = createFixture()
    ageFiles()
    const id = git('rev-parse', 'HEAD:a.txt').trim()
    rmSync(join(path, '.git/objects', id.slice(0, 2), id.slice(2)))
    const backend = await open()
    const before = await backend.capture({ label: 'before' })
    writeFileSync(join(path, 'a.txt'), 'lost')
    await backend.rollback(before)
    expect(readFileSync(join(path, 'a.txt'), 'utf8')).toBe('one\ntwo\n')
  })

  it('are replaced by what is on disk where they can be neither linked nor read whole', async () => {
    const { path, git, ageFiles } = createFixture()
    ageFiles()
    const stateDirectory = mkdtempSync('/dev/shm/ws-git-')
    onTestFinished(() => rmSync(stateDirectory, { recursive: true, force: true }))
    const id = git('rev-parse', 'HEAD:a.txt').trim()
    const file = join(path, '.git/objects', id.slice(0, 2), id.slice(2))
    const object = readFileSync(file)
    rmSync(file)
    // Its size can be read, and its checksum is gone.
    writeFileSync(file, object.subarray(0, -4))
    expect(git('cat-file', '-s', id).trim()).toBe('8')
    const backend = await openGitBackend({ path, stateDirectory })
    const before = await backend!.capture({ label: 'before' })
    writeFileSync(join(path, 'a.txt'), 'lost')
    await backend!.rollback(before)
    expect(readFileSync(join(path, 'a.txt'), 'utf8')).toBe('one\ntwo\n')
  })
})

describe('the state directory', () => {
  it('may lose or garble what only saves time', async () => {
    const { open, write, stateDirectory } = createFixture()
    const before = await (await open()).capture({ label: 'x' })
    const file = join(stateDirectory, 'git/sha1/state')
    const bytes = readFileSync(file)
    for (const damage of [
      Buffer.alloc(0),
      bytes.subarray(0, 50),
      Buffer.concat([bytes.subarray(0, 60), Buffer.from('x'), bytes.subarray(61)]),
    ]) {
      writeFileSync(file, damage)
      expect((await (await open()).capture({ label: 'x' })).ref).toBe(before.ref)
    }
    write('a.txt', 'changed')
    rmSync(file)
    const backend = await open()
    await backend.rollback(before)
    expect((await backend.capture({ label: 'x' })).ref).toBe(before.ref)
  })

  it('makes the index believed no more when it is lost', async () => {
    const { open, write, read, git, path, stateDirectory, ageFiles } = createFixture()
    await (await open()).capture({ label: 'x' })
    const [index, committed] = [join(path, '.git/index'), git('rev-parse', 'HEAD:a.txt').trim()]
    write('a.txt', 'ONE\nTWO\n')
    git('add', 'a.txt')
    const edited = Buffer.from(git('rev-parse', ':a.txt').trim(), 'hex')
    const forged = readFileSync(index)
    forged.set(Buffer.from(committed, 'hex'), forged.indexOf(edited))
    const body = forged.subarray(0, -20)
    writeFileSync(index, Buffer.concat([body, createHash('sha1').update(body).digest()]))
    ageFiles()
    expect(git('status', '--short')).toBe('')
    rmSync(join(stateDirectory, 'git/sha1/state'))
    const backend = await open()
    const after = await backend.capture({ label: 'x' })
    write('a.txt', 'later')
    await backend.rollback(after)
    expect(read('a.txt')).toBe('ONE\nTWO\n')
  })

  it('serves a snapshot that went through JSON, in another backend', async () => {
    const { open, path, write } = createFixture()
    const before = await (await open()).capture({ label: 'before' })
    const original = describeTree(path)
    write('a.txt', 'changed')
    await (await open()).rollback(JSON.parse(JSON.stringify(before)) as typeof before)
    expect(describeTree(path)).toEqual(original)
  })

  it('may have a name with a colon, a quote and a space, as the workspace may', async () => {
    const scratch = createScratch()
    const path = join(scratch, 'my: "work"')
    const stateDirectory = join(scratch, 'my: "state"')
    mkdirSync(path)
    runUserGit(path, 'init', '-q')
    writeFileSync(join(path, 'a'), 'a')
    runUserGit(path, 'add', '-A')
    runUserGit(path, 'commit', '-q', '-m', 'first')
    const backend = await openGitBackend({ path, stateDirectory })
    const before = await backend?.capture({ label: 'x' })
    expect(before?.metadata).toMatchObject({ entries: 1, dirty: false })
    writeFileSync(join(path, 'a'), 'b')
    expect((await backend?.capture({ label: 'x' }))?.metadata.dirty).toBe(true)
  })
})
