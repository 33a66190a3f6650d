import { spawn, type ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, lstatSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { openGitBackend } from '../../../src/snapshot/git/open-git-backend.ts'
import { asPlainUser, giveToPlainUser } from '../../support/plain-user.ts'
import { mountSmallDisk } from '../../support/small-disk.ts'
import { changeList, createFixture, describeTree } from './git-fixture.ts'
import { holds } from './private-content.ts'

const backendFile = new URL('../../../src/snapshot/git/open-git-backend.ts', import.meta.url).href

/** Runs a piece of a program in a process of its own, with `backend` open. */
function startProcess(
  fixture: { path: string; stateDirectory: string },
  program: string,
  isPlain = false,
): ChildProcess {
  const source = `
    const { openGitBackend } = await import(${JSON.stringify(backendFile)})
    const backend = await openGitBackend(${JSON.stringify({ path: fixture.path, stateDirectory: fixture.stateDirectory })})
    ${program}`
  const node = ['--conditions=@ws/source', '--input-type=module', '-e', source]
  const { command, parameters, user } = isPlain
    ? asPlainUser(process.execPath, node)
    : { command: process.execPath, parameters: node, user: {} }
  return spawn(command, parameters, { stdio: ['ignore', 'pipe', 'inherit'], ...user })
}

async function outputOf(child: ChildProcess): Promise<string> {
  let text = ''
  child.stdout?.on('data', (chunk: Buffer) => {
    text += chunk.toString()
  })
  await once(child, 'close')
  return text
}

describe('several processes', () => {
  it('capture one workspace at once, all of them the same state (case 75)', async () => {
    const fixture = createFixture()
    const program = `console.log((await backend.capture({ label: 'x' })).ref)`
    const refs = await Promise.all(Array.from({ length: 8 }, () => outputOf(startProcess(fixture, program))))
    expect(new Set(refs).size).toBe(1)
    expect(refs[0]).toMatch(/^[0-9a-f]{40}\n$/)
  })
})

describe('a process that is killed', () => {
  it('in the middle of a capture leaves nothing that stops or swells the next one (cases 65, 75)', async () => {
    const fixture = createFixture()
    for (let number = 0; number < 400; number += 1) fixture.write(`n/${number}`, Buffer.alloc(20_000, number))
    for (let round = 0; round < 4; round += 1) {
      const child = startProcess(
        fixture,
        `console.log('go'); await backend.capture({ label: 'x' }); console.log('done')`,
      )
      await once(child.stdout ?? child, 'data')
      // Let it come further each time: wait until it has stored so many objects.
      const objects = join(fixture.stateDirectory, 'git/sha1/objects')
      while (child.exitCode === null && countObjects(objects) < round * 100)
        await new Promise((resolve) => setImmediate(resolve))
      child.kill('SIGKILL')
      await once(child, 'close')
    }
    const backend = await fixture.open()
    const snapshot = await backend.capture({ label: 'x' })
    expect(snapshot.metadata.entries).toBe(402)
    expect(readdirSync(join(fixture.stateDirectory, 'git/sha1/temporary'))).toEqual([])
    expect(snapshot.ref).toBe((await backend.capture({ label: 'x' })).ref)
  })

  it('in the middle of a rollback leaves a state from which the same rollback completes (case 56)', async () => {
    const fixture = createFixture()
    for (let number = 0; number < 300; number += 1) fixture.write(`n/${number}`, Buffer.alloc(30_000, number))
    const backend = await fixture.open()
    const before = await backend.capture({ label: 'before' })
    const original = describeTree(fixture.path)
    for (let round = 1; round <= 3; round += 1) {
      for (let number = 0; number < 300; number += 1) fixture.write(`n/${number}`, 'spoilt')
      const child = startProcess(
        fixture,
        `console.log('go'); await backend.rollback(${JSON.stringify(before)})`,
      )
      await once(child.stdout ?? child, 'data')
      const restored = () => readFileSync(join(fixture.path, `n/${round * 9}`)).length > 6
      while (child.exitCode === null && !restored()) await new Promise((resolve) => setImmediate(resolve))
      child.kill('SIGKILL')
      await once(child, 'close')
      expect((await backend.rollback(before)).verified).toBe(true)
      expect(describeTree(fixture.path)).toEqual(original)
    }
  })
})

describe('files that cannot be read', () => {
  it('are counted, and the rest is captured and rolled back (case 21)', async () => {
    const fixture = createFixture()
    const { write, path, stateDirectory } = fixture
    write('locked.txt', 'x', 0o000)
    mkdirSync(join(path, 'closed'), { mode: 0o000 })
    for (const name of ['', 'src', 'a.txt', 'src/b.txt', '..']) giveToPlainUser(join(path, name))
    giveToPlainUser(stateDirectory)
    const program = `
      const { writeFileSync } = await import('node:fs')
      const before = await backend.capture({ label: 'before' })
      writeFileSync(${JSON.stringify(join(path, 'a.txt'))}, 'changed')
      const result = await backend.rollback(before)
      console.log(JSON.stringify({ coverage: before.coverage, result }))`
    const output = JSON.parse(await outputOf(startProcess(fixture, program, true)))
    expect(output.coverage).toMatchObject({ complete: false, omitted: { unreadable: 2 } })
    expect(output.coverage.examples).toEqual([
      { path: 'closed', reason: 'unreadable' },
      { path: 'locked.txt', reason: 'unreadable' },
    ])
    expect(output.result).toMatchObject({ restored: ['a.txt'], deleted: [], verified: true })
  })
})

describe('files that cannot be read any more', () => {
  function prepare() {
    const fixture = createFixture()
    const { path, stateDirectory } = fixture
    for (const name of ['', 'src', 'a.txt', 'src/b.txt', '..']) giveToPlainUser(join(path, name))
    giveToPlainUser(stateDirectory)
    const run = async (program: string) =>
      JSON.parse(
        await outputOf(
          startProcess(
            fixture,
            `const { chmodSync, writeFileSync } = await import('node:fs')
            process.chdir(${JSON.stringify(path)})
            ${program}`,
            true,
          ),
        ),
      )
    return { ...fixture, run }
  }

  it('stay in view as they were, are counted, and come back with their modes', async () => {
    const { run, path } = prepare()
    const original = describeTree(path)
    const output = await run(`
      const before = await backend.capture({ label: 'before' })
      chmodSync('a.txt', 0o000)
      chmodSync('src', 0o000)
      const after = await backend.capture({ label: 'after' })
      const again = await backend.capture({ label: 'after', previous: before })
      const changes = [await backend.changes(before, after), await backend.changes(before, again)]
      const result = await backend.rollback(before, { expected: again })
      const { ref } = await backend.capture({ label: 'x' })
      console.log(JSON.stringify({ before, after, changes, result, ref }))`)
    expect(output.after.coverage.complete).toBe(false)
    expect(output.after.coverage.examples).toContainEqual({ path: 'src', reason: 'unreadable' })
    expect(output.after.ref).not.toBe(output.before.ref)
    for (const changes of output.changes) {
      expect(changes).toMatchObject([{ path: 'a.txt', status: 'mode-changed', after: { mode: 0 } }])
    }
    expect(output.result).toMatchObject({ restored: ['a.txt', 'src'], deleted: [], verified: true })
    expect(output.ref).toBe(output.before.ref)
    expect(describeTree(path)).toEqual(original)
  })

  it('come back in the place of those that have other names, which stay as they are', async () => {
    const { run, path } = prepare()
    const output = await run(`
      const { linkSync } = await import('node:fs')
      const before = await backend.capture({ label: 'before' })
      linkSync('a.txt', '../twin')
      chmodSync('a.txt', 0o000)
      console.log(JSON.stringify(await backend.rollback(before)))`)
    expect(output).toMatchObject({ restored: ['a.txt'], verified: true })
    expect(lstatSync(join(path, 'a.txt'))).toMatchObject({ nlink: 1, mode: 0o100644 })
    expect(lstatSync(join(path, '../twin'))).toMatchObject({ nlink: 1, mode: 0o100000 })
  })

  it('count as naming everything when they hold ignore rules: what is new is left out, and no rollback touches it (case 12)', async () => {
    const { run, read, path, stateDirectory } = prepare()
    const output = await run(`
      writeFileSync('.gitignore', '.env\\n')
      writeFileSync('.env', 'TOKEN=7c1e')
      writeFileSync('notes.txt', 'captured')
      const before = await backend.capture({ label: 'before' })
      chmodSync('.gitignore', 0o000)
      writeFileSync('.env', 'TOKEN=changed 7c1e')
      writeFileSync('src/made.txt', 'may be ignored')
      writeFileSync('notes.txt', 'changed')
      const after = await backend.capture({ label: 'after', previous: before })
      const changes = await backend.changes(before, after)
      const result = await backend.rollback(before, { expected: after })
      console.log(JSON.stringify({ before, after, changes: changes.map(({ status, path }) => status + ' ' + path), result }))`)
    expect(output.before.coverage.examples).toEqual([{ path: '.env', reason: 'ignored' }])
    expect(output.changes).toEqual(['mode-changed .gitignore', 'modified notes.txt'])
    expect(output.after.coverage).toMatchObject({ complete: false, omitted: { ignored: 2, unreadable: 1 } })
    expect(output.result).toMatchObject({
      restored: ['.gitignore', 'notes.txt'],
      deleted: [],
      verified: true,
    })
    expect([read('.env'), read('src/made.txt'), read('notes.txt')]).toEqual([
      'TOKEN=changed 7c1e',
      'may be ignored',
      'captured',
    ])
    expect(holds(stateDirectory, '7c1e')).toBe(false)
    expect(holds(stateDirectory, 'captured')).toBe(true)
    expect(existsSync(join(path, '.gitignore'))).toBe(true)
  })

  it('are read before they are overwritten, so that this can be undone as well', async () => {
    const { run, read } = prepare()
    const output = await run(`
      const before = await backend.capture({ label: 'before' })
      writeFileSync('a.txt', 'secret')
      chmodSync('a.txt', 0o000)
      const after = await backend.capture({ label: 'after', previous: before })
      const undone = await backend.rollback(before, { expected: after })
      const redone = await backend.rollback(undone.guard)
      chmodSync('a.txt', 0o644)
      const unread = await backend.rollback(after)
      console.log(JSON.stringify({ undone, redone, unread }))`)
    const step = { path: 'a.txt', before: { mode: 0, size: 6 }, after: { mode: 0o644, size: 8 } }
    expect(output.undone).toMatchObject({ restored: ['a.txt'], steps: [step], verified: true })
    expect(output.redone).toMatchObject({ restored: ['a.txt'], verified: true })
    expect(output.unread).toMatchObject({ restored: [], deleted: [], verified: true })
    expect(read('a.txt')).toBe('secret')
  })
})

describe('a capture', () => {
  it('can be aborted, rejects with the reason, and the next one works', async () => {
    const { open, write } = createFixture()
    for (let number = 0; number < 500; number += 1) write(`n/${number}`, Buffer.alloc(10_000, number))
    const backend = await open()
    const controller = new AbortController()
    const capture = backend.capture({ label: 'x', signal: controller.signal })
    setImmediate(() => controller.abort(new Error('stop')))
    await expect(capture).rejects.toThrow('stop')
    expect((await backend.capture({ label: 'x' })).metadata.entries).toBe(502)
  })

  it('that fails gives no snapshot, and the next one is of what there is then (case 6)', async () => {
    const { path, write, outside } = createFixture()
    const stateDirectory = mountSmallDisk(join(outside, 'disk'), 3)
    const backend = await openGitBackend({ path, stateDirectory })
    if (backend === null) throw new Error('no repository')
    const before = await backend.capture({ label: 'before' })
    write('a.txt', 'edited\n')
    write('big.bin', randomBytes(6 << 20))
    await expect(backend.capture({ label: 'after', previous: before })).rejects.toMatchObject({
      code: 'QUOTA_EXCEEDED',
    })
    rmSync(join(path, 'big.bin'))
    write('src/b.txt', 'edited\n')
    const after = await backend.capture({ label: 'after', previous: before })
    expect(await changeList(backend, before, after)).toEqual(['modified a.txt', 'modified src/b.txt'])
    expect((await backend.rollback(before, { expected: after })).verified).toBe(true)
  })

  it('reports files that are written while it reads them (cases 19, 20)', async () => {
    const fixture = createFixture()
    const target = join(fixture.path, 'busy.log')
    writeFileSync(target, '')
    const writer = spawn('sh', [
      '-c',
      `while :; do echo x >> "${target}"; : > "${target}"; echo yyy >> "${target}"; done`,
    ])
    try {
      const backend = await fixture.open()
      let unstable: readonly string[] = []
      for (let round = 0; round < 2000 && unstable.length === 0; round += 1) {
        unstable = (await backend.capture({ label: 'x' })).coverage.unstable
      }
      expect(unstable).toEqual(['busy.log'])
    } finally {
      writer.kill('SIGKILL')
      await once(writer, 'close')
    }
  })

  it('streams large files, whose content survives a rollback', async () => {
    const { open, write, path } = createFixture()
    const content = Buffer.alloc(20 << 20, 'large ')
    write('large.bin', content)
    const backend = await open()
    const before = await backend.capture({ label: 'before' })
    write('large.bin', 'small')
    await backend.rollback(before)
    expect(readFileSync(join(path, 'large.bin')).equals(content)).toBe(true)
  })

  it('leaves the event loop responsive on thousands of files (case 86)', async () => {
    const { open, write } = createFixture()
    for (let number = 0; number < 3000; number += 1) write(`n/${number % 50}/${number}`, `content ${number}`)
    const backend = await open()
    let turns = 0
    const timer = setInterval(() => {
      turns += 1
    }, 5)
    await backend.capture({ label: 'x' })
    clearInterval(timer)
    expect(turns).toBeGreaterThan(5)
  })
})

function countObjects(directory: string): number {
  try {
    return readdirSync(directory, { recursive: true }).length
  } catch {
    return 0
  }
}
