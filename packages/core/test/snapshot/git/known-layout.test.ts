import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { openGitBackend } from '../../../src/snapshot/git/open-git-backend.ts'
import { createFixture, runUserGit, type Fixture } from './git-fixture.ts'

const backendFile = new URL('../../../src/snapshot/git/open-git-backend.ts', import.meta.url).href

/** Opens the workspace until what git says of it is settled and remembered. */
async function remember({ stateDirectory }: Fixture, open: () => Promise<unknown>): Promise<void> {
  for (let attempt = 0; attempt < 100; attempt += 1) {
    await open()
    if (existsSync(join(stateDirectory, 'git-layout'))) return
  }
  throw new Error('The layout is never remembered.')
}

/** How often a new process starts another one when it opens the workspace and captures it. */
function countProcesses({ path, stateDirectory }: Fixture): number {
  const source = `
    import { createRequire, syncBuiltinESMExports } from 'node:module'
    const processes = createRequire(import.meta.url)('node:child_process')
    const { spawn } = processes
    let count = 0
    processes.spawn = (...args) => { count += 1; return spawn(...args) }
    syncBuiltinESMExports()
    const { openGitBackend } = await import(${JSON.stringify(backendFile)})
    const backend = await openGitBackend(${JSON.stringify({ path, stateDirectory })})
    await backend.capture({ label: 'x' })
    console.log(count)`
  const flags = ['--conditions=@ws/source', '--input-type=module', '-e', source]
  return Number(execFileSync(process.execPath, flags, { encoding: 'utf8' }))
}

describe('what git said about a repository', () => {
  it('is remembered: an unchanged workspace is opened and captured without starting git', async () => {
    const fixture = createFixture()
    await remember(fixture, () => fixture.open())
    let count = 1
    // Stamps of a moment ago are not trusted.
    for (let attempt = 0; attempt < 20 && count > 0; attempt += 1) count = countProcesses(fixture)
    expect(count).toBe(0)
    writeFileSync(join(fixture.path, '.git/config'), '[only]\n\tgit = knows\n', { flag: 'a' })
    expect(countProcesses(fixture)).toBeGreaterThan(0)
  })

  it('is not believed when the memory is damaged', async () => {
    const fixture = createFixture()
    await remember(fixture, () => fixture.open())
    const file = join(fixture.stateDirectory, 'git-layout')
    const text = readFileSync(file, 'utf8')
    for (const damage of ['', text.slice(0, 80), text.replace('/index"', '/other"')]) {
      writeFileSync(file, damage)
      const snapshot = await (await fixture.open()).capture({ label: 'x' })
      expect(snapshot.metadata).toMatchObject({ entries: 2, dirty: false })
    }
  })

  it('is asked again when its configuration changes, of the repository, the user or an ignore file', async () => {
    const fixture = createFixture()
    const { git, open, write, path, outside } = fixture
    const entries = async () => (await (await open()).capture({ label: 'x' })).metadata.entries
    write('x.log', 'x')
    write('x.tmp', 'x')
    const former = process.env['HOME']
    process.env['HOME'] = outside
    try {
      await remember(fixture, open)
      expect(await entries()).toBe(4)
      writeFileSync(join(outside, 'rules'), '*.log\n')
      git('config', 'core.excludesFile', join(outside, 'rules'))
      expect(await entries()).toBe(3)
      git('config', '--unset', 'core.excludesFile')
      expect(await entries()).toBe(4)
      writeFileSync(join(outside, 'more'), '*.log\n*.tmp\n')
      writeFileSync(join(outside, '.gitconfig'), `[core]\n\texcludesFile = ${join(outside, 'more')}\n`)
      expect(await entries()).toBe(2)
      // What an include leads to may change unseen, so it is asked for each time.
      rmSync(join(outside, '.gitconfig'))
      writeFileSync(join(path, '.git/config'), `[include]\n\tpath = ${join(outside, 'included')}\n`, {
        flag: 'a',
      })
      expect(await entries()).toBe(4)
      writeFileSync(join(outside, 'included'), `[core]\n\texcludesFile = ${join(outside, 'rules')}\n`)
      expect(await entries()).toBe(3)
    } finally {
      if (former === undefined) delete process.env['HOME']
      else process.env['HOME'] = former
    }
  })

  const changes: [string, (fixture: Fixture) => void, object | null][] = [
    ['became bare', ({ git }) => git('config', 'core.bare', 'true'), { code: 'INVALID_INPUT' }],
    [
      'lost its HEAD',
      ({ path, outside }) => renameSync(join(path, '.git/HEAD'), join(outside, 'HEAD')),
      { code: 'CORRUPT' },
    ],
    [
      'has a configuration that cannot be read',
      ({ path }) => writeFileSync(join(path, '.git/config'), '[core\n'),
      { code: 'CORRUPT' },
    ],
    ['is gone', ({ path }) => rmSync(join(path, '.git'), { recursive: true }), null],
  ]
  it.each(changes)('is not believed of a repository that %s', async (_, change, outcome) => {
    const fixture = createFixture()
    await remember(fixture, () => fixture.open())
    change(fixture)
    const opened = openGitBackend({ path: fixture.path, stateDirectory: fixture.stateDirectory })
    if (outcome === null) expect(await opened).toBeNull()
    else await expect(opened).rejects.toMatchObject(outcome)
  })

  it('is not believed when a repository appears between the workspace and the one it was in', async () => {
    const fixture = createFixture()
    const { path, stateDirectory, write, git } = fixture
    write('deep/work/c.txt', 'c')
    git('add', '-A')
    const open = () => openGitBackend({ path: join(path, 'deep/work'), stateDirectory })
    await remember(fixture, open)
    runUserGit(join(path, 'deep'), 'init', '-q')
    mkdirSync(join(path, 'deep/.git/info'), { recursive: true })
    writeFileSync(join(path, 'deep/.git/info/exclude'), 'work/\n')
    expect(await open()).toBeNull()
  })
})
