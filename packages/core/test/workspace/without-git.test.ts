import { execFileSync } from 'node:child_process'
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { executeRun, Workspace } from '../../src/index.ts'
import { createRepository, git, temporaryDirectory, writeFiles } from '../support/temporary-directory.ts'

/** Sets a PATH on which there is no git, or one that says this of itself. */
function setGit(version: string | null): void {
  const programs = temporaryDirectory()
  if (version !== null) writeFileSync(join(programs, 'git'), `#!/bin/sh\necho ${version}\n`, { mode: 0o755 })
  vi.stubEnv('PATH', programs)
  onTestFinished(() => void vi.unstubAllEnvs())
}

function workspaceAt(path: string): Workspace {
  return new Workspace({ id: 'w', path, stateDir: temporaryDirectory() })
}

describe.each([
  ['without a git', null],
  ['with a git that is too old', 'git version 2.20.1'],
])('%s', (_, version) => {
  it('sees and undoes what happens outside of every repository', async () => {
    const path = temporaryDirectory()
    writeFiles(path, { 'a.txt': 'one' })
    setGit(version)
    const workspace = workspaceAt(path)
    const before = await workspace.snapshot()
    expect(before.backend).toBe('hash')
    const change = () => writeFileSync(join(path, 'a.txt'), 'other')
    const seen = await executeRun(workspace, change)
    expect(seen.workspace).toMatchObject({ backend: 'hash', diff: { filesChanged: 1 } })
    const undone = await executeRun(
      workspace,
      () => {
        writeFileSync(join(path, 'b.txt'), 'new')
        throw new Error('failed')
      },
      { rollbackOnFailure: true },
    )
    expect(undone.workspace).toMatchObject({ backend: 'bundle', rollback: { verified: true } })
  })

  it('says in a repository, and for the strategy "git", what else there is', async () => {
    const repository = createRepository(temporaryDirectory(), { 'deep/a.txt': 'one' })
    const plain = temporaryDirectory()
    setGit(version)
    const refusal = { code: 'UNSUPPORTED', message: expect.stringContaining('strategy "hash" or "bundle"') }
    for (const path of [repository, join(repository, 'deep')]) {
      await expect(workspaceAt(path).snapshot()).rejects.toMatchObject(refusal)
      expect((await workspaceAt(path).snapshot({ strategy: 'bundle' })).backend).toBe('bundle')
    }
    await expect(workspaceAt(plain).snapshot({ strategy: 'git' })).rejects.toMatchObject(refusal)
  })
})

it('refuses a bare repository, whatever the environment says of another one', async () => {
  const bare = join(temporaryDirectory(), 'bare')
  mkdirSync(bare)
  git(bare, 'init', '-q', '--bare')
  vi.stubEnv('GIT_DIR', join(createRepository(temporaryDirectory(), { 'a.txt': 'one' }), '.git'))
  onTestFinished(() => void vi.unstubAllEnvs())
  for (const path of [bare, join(bare, 'refs')])
    await expect(workspaceAt(path).snapshot()).rejects.toMatchObject({ code: 'INVALID_INPUT' })
})

it('does under the permission model of Node what can be done, and refuses the rest before the agent runs', () => {
  const base = temporaryDirectory()
  const repository = createRepository(join(base, 'repository'), { 'a.txt': 'one' })
  const plain = join(base, 'plain')
  mkdirSync(plain)
  const sourceOf = (name: string) =>
    JSON.stringify(new URL(`../../../${name}/src/index.ts`, import.meta.url).href)
  const code = `
    const { createBundle, executeRun, extractBundle, Workspace } = await import(${sourceOf('core')})
    const { localStore } = await import(${sourceOf('store-local')})
    const [base, plain, repository] = ${JSON.stringify([base, plain, repository])}
    const at = (path, durability) =>
      new Workspace({ id: 'w', path, stateDir: base + '/state', store: localStore({ root: base + '/store', durability }) })
    const agent = () => console.log('the agent runs')
    for (const call of [
      async () => (await at(plain).snapshot()).backend,
      () => at(repository).snapshot(),
      () => executeRun(at(plain), agent, { rollbackOnFailure: true }),
      () => at(plain).save('flushed'),
      async () => 'version ' + (await at(plain, 'none').save('not flushed')).version.version,
      () => executeRun(at(plain, 'none'), agent, { load: true }),
      () => extractBundle(createBundle(plain), base + '/new'),
    ])
      await call().then(console.log, ({ code, message }) => console.log(code, message))`
  const flags = ['--permission', '--allow-fs-read=*', `--allow-fs-write=${base}/`, '--allow-worker']
  const args = ['--conditions=@ws/source', ...flags, '--input-type=module', '--eval', code]
  const lines = execFileSync(process.execPath, args, { encoding: 'utf8', stdio: 'pipe' }).trim().split('\n')
  expect(lines).toEqual([
    'hash',
    expect.stringMatching(/^ACCESS_DENIED .*--allow-child-process/),
    expect.stringMatching(/^UNSUPPORTED A rollback .*without --permission/),
    expect.stringMatching(/^UNSUPPORTED .*durability: 'none'/),
    'version 1',
    expect.stringMatching(/^UNSUPPORTED A load .*without --permission/),
    expect.stringMatching(/^UNSUPPORTED .*without --permission/),
  ])
  expect(readdirSync(base).toSorted()).toEqual(['plain', 'repository', 'state', 'store'])
})
