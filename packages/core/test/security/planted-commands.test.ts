import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest'
import { executeRun, Workspace } from '../../src/index.ts'
import { gitEnvironment } from '../../src/snapshot/git/private/git-command.ts'
import { fingerprint, runUserGit } from '../snapshot/git/git-fixture.ts'
import { describeTree } from '../support/describe-tree.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import {
  createPlainRepository,
  createPlantedPrograms,
  firePlant,
  plantedConfiguration,
  plantedEnvironment,
  plantInRepository,
  plantOnPath,
  type PlantedPrograms,
} from './planted-commands.ts'
import { hooks, plants } from './plants.ts'

interface Scene {
  readonly base: string
  readonly path: string
  readonly programs: PlantedPrograms
  /** Every `.git` of the workspace: its own, of a repository in it, of a submodule. */
  readonly repositories: readonly string[]
  readonly write: (path: string, content: string) => void
  /** Plants everything everywhere. */
  readonly plant: () => void
  /** Commits that no branch has. */
  readonly other: string
  readonly branch: string
}

/** A workspace with a repository and a submodule in it; `linked`: in a linked work tree. */
function createScene(place: 'plain' | 'linked'): Scene {
  const base = temporaryDirectory()
  const main = join(base, 'main')
  const path = place === 'plain' ? main : join(base, 'linked')
  const library = join(base, 'library')
  for (const directory of [main, library]) {
    mkdirSync(directory)
    runUserGit(directory, 'init', '-q', '-b', 'main')
    writeFileSync(join(directory, 'a.txt'), 'one\ntwo\nthree\n')
    writeFileSync(join(directory, 'b.txt'), 'b\n')
    writeFileSync(join(directory, '.gitattributes'), '* filter=evil diff=evil merge=evil\n')
    runUserGit(directory, 'add', '-A')
    runUserGit(directory, 'commit', '-q', '-m', 'first')
  }
  if (place === 'linked') runUserGit(main, 'worktree', 'add', '-q', '-b', 'side', path)
  const git = (...args: string[]) => runUserGit(path, ...args).trim()
  git('-c', 'protocol.file.allow=always', 'submodule', '-q', 'add', library, 'sub')
  git('commit', '-q', '-m', 'submodule')
  runUserGit(path, 'clone', '-q', library, 'inner')
  const other = git('commit-tree', '-p', 'HEAD', '-m', 'by the agent', 'HEAD^{tree}')
  const own = git('rev-parse', '--absolute-git-dir')
  const common = git('rev-parse', '--path-format=absolute', '--git-common-dir')
  const submodule = runUserGit(join(path, 'sub'), 'rev-parse', '--absolute-git-dir').trim()
  const programs = createPlantedPrograms(join(base, 'planted'))
  const home = join(base, 'home')
  mkdirSync(join(home, '.config/git'), { recursive: true })
  return {
    base,
    path,
    programs,
    repositories: [join(main, '.git'), join(path, 'inner/.git')],
    other,
    branch: join(common, `refs/heads/${place === 'plain' ? 'main' : 'side'}`),
    write: (name, content) => {
      mkdirSync(dirname(join(path, name)), { recursive: true })
      writeFileSync(join(path, name), content)
    },
    plant: () => {
      for (const directory of new Set([common, own, submodule, join(path, 'inner/.git')]))
        plantInRepository(programs, directory, path)
      const configuration = plantedConfiguration(programs, path)
      writeFileSync(join(home, '.gitconfig'), configuration)
      writeFileSync(join(home, '.config/git/config'), configuration)
      writeFileSync(join(home, '.config/git/attributes'), '* filter=evil diff=evil merge=evil\n')
      const environment = {
        ...plantedEnvironment(programs),
        HOME: home,
        PATH: plantOnPath(programs, path),
        GIT_DIR: join(library, '.git'),
        GIT_WORK_TREE: library,
        GIT_INDEX_FILE: join(base, 'index'),
        GIT_OBJECT_DIRECTORY: join(base, 'objects'),
        GIT_COMMON_DIR: join(library, '.git'),
        GIT_NAMESPACE: 'planted',
        GIT_ALLOW_PROTOCOL: 'file:ext:ssh',
      }
      for (const [name, value] of Object.entries(environment)) vi.stubEnv(name, value)
      onTestFinished(() => void vi.unstubAllEnvs())
    },
  }
}

let plain = ''
beforeAll(() => {
  const base = mkdtempSync(join(tmpdir(), 'ws-plants-'))
  plain = join(base, 'plain')
  createPlainRepository(plain)
  return () => rmSync(base, { recursive: true, force: true })
})

describe.each([
  ['git', 'plain', 'before the first snapshot'],
  ['git', 'plain', 'by the agent'],
  ['git', 'linked', 'before the first snapshot'],
  ['git', 'linked', 'by the agent'],
  ['bundle', 'plain', 'by the agent'],
] as const)(
  'programs planted for git, with the %s backend in a %s work tree, %s',
  (strategy, place, when) => {
    it('never run: in no snapshot, diff, patch, dry run, rollback, undo, restoreGit or run (cases 77, 78, 79)', async () => {
      const scene = createScene(place)
      const { path, base, programs, write, plant, repositories } = scene
      const workspace = new Workspace({ id: 'w', path, stateDir: join(base, 'state') })
      if (when !== 'by the agent') plant()
      const describeFiles = () => describeTree(path, { skip: ['.git', 'inner/.git'] })
      programs.forget()
      const before = await workspace.snapshot({ strategy })
      const original = describeFiles()
      if (when === 'by the agent') plant()
      const prints = repositories.map(fingerprint)
      const spoil = () => {
        for (const name of ['a.txt', 'inner/a.txt', 'sub/a.txt', 'made/c.txt'])
          write(name, 'one\nagent\nthree\n')
        rmSync(join(path, 'b.txt'))
      }
      spoil()
      const after = await workspace.snapshot({ strategy, previous: before })
      const diff = await workspace.diff(before, after)
      expect(diff.changedPaths).toEqual(
        expect.arrayContaining(['a.txt', 'b.txt', 'inner/a.txt', 'made/c.txt', 'sub/a.txt']),
      )
      expect(diff.patchBytes).toBeGreaterThan(0)
      await workspace.rollback(before, { expected: after, dryRun: true })
      write('a.txt', 'one\nagent\nthree\nforeign\n')
      const rolledBack = await workspace.rollback(before, { expected: after, onForeignEdits: 'merge' })
      expect(rolledBack).toMatchObject({ merged: ['a.txt'], verified: true })
      await workspace.rollback(rolledBack.guard!)
      await workspace.rollback(before)
      expect(describeFiles()).toEqual(original)
      const run = await executeRun(
        workspace,
        () => {
          spoil()
          throw new Error('the agent failed')
        },
        { strategy, rollbackOnFailure: true },
      )
      expect(run.workspace).toMatchObject({ rollback: { verified: true } })
      expect(repositories.map(fingerprint)).toEqual(prints)
      if (strategy === 'git') {
        writeFileSync(scene.branch, `${scene.other}\n`)
        const restored = await workspace.rollback(before, { restoreGit: true })
        expect(restored).toMatchObject({ verified: true, git: { restored: ['branch'], notRestored: [] } })
      }
      expect(programs.marks()).toBe('')
    })
  },
)

describe("the machine's own configuration", () => {
  it('starts nothing either (case 78)', () => {
    const { base, path, programs } = createScene('plain')
    // A process with an /etc of its own.
    const etc = join(base, 'etc')
    mkdirSync(etc)
    for (const name of ['passwd', 'group', 'nsswitch.conf', 'ld.so.cache', 'ld.so.conf'])
      if (existsSync(join('/etc', name))) cpSync(join('/etc', name), join(etc, name))
    writeFileSync(join(etc, 'gitconfig'), plantedConfiguration(programs, path))
    writeFileSync(join(etc, 'gitattributes'), '* filter=evil diff=evil merge=evil\n')
    const entry = new URL('../../src/index.ts', import.meta.url).href
    const program = `
      const { Workspace } = await import(${JSON.stringify(entry)})
      const { writeFileSync } = await import('node:fs')
      const workspace = new Workspace(${JSON.stringify({ id: 'w', path, stateDir: join(base, 'state') })})
      const before = await workspace.snapshot({ strategy: 'git' })
      writeFileSync('a.txt', 'agent\\n')
      const after = await workspace.snapshot({ strategy: 'git', previous: before })
      const { changedPaths } = await workspace.diff(before, after)
      const { verified } = await workspace.rollback(before, { expected: after, restoreGit: true })
      console.log(JSON.stringify({ changedPaths, verified }))`
    const inside = (...command: string[]) =>
      spawnSync('unshare', ['--mount', 'sh', '-c', 'mount --bind "$0" /etc && exec "$@"', etc, ...command], {
        cwd: path,
        encoding: 'utf8',
        // There are no certificates in this /etc, which Node would warn of.
        env: { ...process.env, HOME: base, NODE_EXTRA_CA_CERTS: '' },
      })
    programs.forget()
    const ours = inside(process.execPath, '--conditions=@ws/source', '--input-type=module', '-e', program)
    expect(ours.stderr).toBe('')
    expect(JSON.parse(ours.stdout)).toEqual({ changedPaths: ['a.txt'], verified: true })
    expect(programs.marks()).toBe('')
    inside('git', 'status')
    expect(programs.marks()).not.toBe('')
  })
})

describe('a repository that lacks an object and names a remote for it', () => {
  it('is never asked to fetch it, which would start whatever the remote names (cases 39, 79)', async () => {
    const { base, path, programs, write, plant, branch } = createScene('plain')
    const workspace = new Workspace({ id: 'w', path, stateDir: join(base, 'state') })
    const head = readFileSync(branch, 'utf8')
    plant()
    const before = await workspace.snapshot({ strategy: 'git' })
    write('a.txt', 'agent\n')
    writeFileSync(branch, `${'1'.repeat(40)}\n`)
    const after = await workspace.snapshot({ strategy: 'git', previous: before })
    await workspace.diff(before, after)
    const later = new Workspace({ id: 'w', path, stateDir: join(base, 'state') })
    await later.rollback(before, { expected: after, restoreGit: true })
    expect(readFileSync(branch, 'utf8')).toBe(head)
    expect(programs.marks()).toBe('')
  })

  it('is not asked by a git either that does not know how to leave it', () => {
    const { path, programs, plant } = createScene('plain')
    plant()
    const env: Record<string, string> = {
      ...gitEnvironment({ configuration: 'user' }),
      GIT_NO_LAZY_FETCH: '0',
    }
    const ask = (environment: Record<string, string>) =>
      spawnSync('git', ['cat-file', '-e', '1'.repeat(40)], { cwd: path, env: environment })
    expect(ask(env).status).not.toBe(0)
    expect(programs.marks()).toBe('')
    const { GIT_ALLOW_PROTOCOL: _, ...unguarded } = env
    ask(unguarded)
    expect(programs.marks()).not.toBe('')
  })
})

describe('a repository that an agent turned into another one by its configuration', () => {
  it.each([
    ['core.bare', 'true'],
    ['core.worktree', 'OUTSIDE'],
    ['core.worktree', '/'],
    ['core.worktree', '../..'],
    ['core.worktree', '../inner'],
    ['safe.directory', ''],
    ['safe.bareRepository', 'explicit'],
    ['core.repositoryFormatVersion', '99'],
    ['extensions.unheardOf', 'true'],
    ['no such line', ''],
  ])('is rolled back all the same, and nothing outside is touched: %s = %s (case 83)', async (key, value) => {
    const { base, path, write } = createScene('plain')
    const outside = join(base, 'outside')
    mkdirSync(outside)
    writeFileSync(join(outside, 'a.txt'), 'outside\n')
    const options = { id: 'w', path, stateDir: join(base, 'state') }
    const workspace = new Workspace(options)
    const describeFiles = () => describeTree(path, { skip: ['.git', 'inner/.git'] })
    const original = describeFiles()
    const before = await workspace.snapshot({ strategy: 'git' })
    const [section = '', name = ''] = key.split('.')
    const line = `[${section}]\n\t${name} = "${value.replace('OUTSIDE', outside)}"\n`
    writeFileSync(join(path, '.git/config'), line, { flag: 'a' })
    const beside = describeTree(base, { skip: ['main', 'state'] })
    for (const later of [workspace, new Workspace(options)]) {
      write('a.txt', 'agent\n')
      write('inner/made.txt', 'agent\n')
      expect(await later.rollback(before)).toMatchObject({ verified: true, deleted: ['inner/made.txt'] })
      expect(describeFiles()).toEqual(original)
    }
    expect(describeTree(base, { skip: ['main', 'state'] })).toEqual(beside)
  })
})

describe('with plain git', () => {
  it.each(plants.map((plant) => [plant.kind, plant] as const))(
    'such a program does run: %s',
    (_kind, plant) => {
      const base = temporaryDirectory()
      const programs = createPlantedPrograms(join(base, 'planted'))
      mkdirSync(join(base, 'scratch'))
      expect(firePlant(programs, plant, { plain, scratch: join(base, 'scratch') })).not.toBe('')
    },
  )

  it('hooks of the repository do run', () => {
    const base = temporaryDirectory()
    const programs = createPlantedPrograms(join(base, 'planted'))
    const hook = {
      kind: 'hooks',
      settings: { 'core.hooksPath': 'HOOKS' },
      fire: 'EDITOR=true git commit -q -a --amend; git checkout -q -f -b other; git merge -q --no-ff -m x first',
    }
    mkdirSync(join(base, 'scratch'))
    const marks = firePlant(programs, hook, { plain, scratch: join(base, 'scratch') })
    expect(hooks.filter((name) => marks.includes(`/${name} `))).toEqual([
      'commit-msg',
      'post-checkout',
      'post-commit',
      'post-index-change',
      'post-rewrite',
      'pre-commit',
      'prepare-commit-msg',
      'reference-transaction',
    ])
  })
})
