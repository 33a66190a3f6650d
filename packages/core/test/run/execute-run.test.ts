import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { memoryStore } from '@ws/store-memory'
import { expect, it, vi } from 'vitest'
import {
  createArtifactStore,
  decodePatch,
  executeRun,
  Workspace,
  WorkspaceError,
  type ArtifactStore,
  type RunEvent,
} from '../../src/index.ts'
import { describeTree } from '../support/describe-tree.ts'
import { createRepository, git, temporaryDirectory, writeFiles } from '../support/temporary-directory.ts'

function makeWorkspace(files: Record<string, string> = { 'a.txt': 'one\n', 'b.txt': 'two\n' }): Workspace {
  const directory = temporaryDirectory()
  createRepository(join(directory, 'work'), files)
  return new Workspace({ id: 'work', path: join(directory, 'work'), stateDir: join(directory, 'state') })
}

function makePlainWorkspace(files: Record<string, string> = { 'a.txt': 'one\n' }): Workspace {
  const directory = temporaryDirectory()
  mkdirSync(join(directory, 'work'))
  writeFiles(join(directory, 'work'), files)
  return new Workspace({ id: 'work', path: join(directory, 'work'), stateDir: join(directory, 'state') })
}

/** An artifact store whose every put fails. */
const brokenArtifactStore: ArtifactStore = {
  ...createArtifactStore(memoryStore()),
  put: () => Promise.reject(new WorkspaceError('UNAVAILABLE', 'The artifact store is down.')),
}

it('gives the value, the diff, and the events in their order', async () => {
  const workspace = makeWorkspace()
  const events: RunEvent[] = []
  const result = await executeRun(
    workspace,
    async ({ path, before }) => {
      expect(before?.label).toBe('before')
      writeFileSync(join(path, 'a.txt'), 'one\nmore\n')
      writeFileSync(join(path, 'new.txt'), 'fresh\n')
      rmSync(join(path, 'b.txt'))
      return 42
    },
    { onEvent: (event) => events.push(event) },
  )
  expect(result).toMatchObject({ status: 'completed', value: 42 })
  expect(result.workspace?.error).toBeUndefined()
  expect(result.workspace).toMatchObject({
    backend: 'git',
    beforeSnapshot: { label: 'before' },
    afterSnapshot: { label: 'after' },
    diff: {
      filesChanged: 3,
      insertions: 2,
      deletions: 1,
      changedPaths: ['a.txt', 'b.txt', 'new.txt'],
      patchRef: null,
    },
  })
  expect(events.map((event) => event.type)).toEqual([
    'run_started',
    'workspace_snapshot_taken',
    'run_agent_finished',
    'workspace_snapshot_taken',
    'workspace_diff_computed',
    'run_finished',
  ])
  const snapshots = events.filter((event) => event.type === 'workspace_snapshot_taken')
  expect(snapshots.map(({ label, backend, ref }) => ({ label, backend, ref }))).toEqual([
    { label: 'before', backend: 'git', ref: result.workspace?.beforeSnapshot.ref },
    { label: 'after', backend: 'git', ref: result.workspace?.afterSnapshot?.ref },
  ])
  expect(events[4]).toMatchObject({ filesChanged: 3, insertions: 2, deletions: 1, hasPatch: true })
})

it('embeds a patch that git applies to give the after-state byte for byte', async () => {
  const workspace = makeWorkspace()
  const original = join(temporaryDirectory(), 'original')
  git(workspace.path, 'clone', '--quiet', workspace.path, original)
  const result = await executeRun(workspace, ({ path }) => {
    writeFileSync(join(path, 'a.txt'), 'changed without newline')
    writeFileSync(join(path, 'binary'), Buffer.from([0, 1, 2, 255, 254, 10, 13, 0]))
    writeFileSync(join(path, 'latin1.txt'), Buffer.from('caf\xe9\n', 'latin1'))
  })
  const patch = decodePatch(result.workspace!.diff!)!
  expect(result.workspace?.diff?.patchBytes).toBe(patch.byteLength)
  execFileSync('git', ['apply', '--whitespace=nowarn', '-'], { cwd: original, input: patch })
  expect(describeTree(original)).toEqual(describeTree(workspace.path))
})

it('reports an unchanged workspace as no change and no patch, and leaves the artifact store alone', async () => {
  const store = memoryStore()
  const result = await executeRun(makeWorkspace(), () => 'nothing', {
    artifactStore: createArtifactStore(store),
  })
  expect(result.workspace?.diff).toMatchObject({
    filesChanged: 0,
    patch: null,
    patchBytes: null,
    patchRef: null,
  })
  expect(result.workspace?.beforeSnapshot.ref).toBe(result.workspace?.afterSnapshot?.ref)
  expect(await Array.fromAsync(store.list(''))).toEqual([])
})

it('gives a failed run the same shape, with the very error that the agent threw', async () => {
  const thrown = new Error('model went away')
  const result = await executeRun(makeWorkspace(), ({ path }) => {
    writeFileSync(join(path, 'a.txt'), 'half done\n')
    throw thrown
  })
  expect(result.status).toBe('failed')
  expect(result.error).toBe(thrown)
  expect(result.workspace).toMatchObject({
    afterSnapshot: { label: 'after_failure' },
    diff: { changedPaths: ['a.txt'] },
  })
  expect(result.workspace?.rollback).toBeUndefined()
  expect(readFileSync(join(result.workspace!.beforeSnapshot.path, 'a.txt'), 'utf8')).toBe('half done\n')
  expect(result.record).toMatchObject({
    status: 'failed',
    error: { name: 'Error', message: 'model went away' },
  })
})

it('rolls a failed run back: created files go, deleted and edited ones return, what the user had untracked and staged stays', async () => {
  const workspace = makeWorkspace()
  const { path } = workspace
  writeFileSync(join(path, 'untracked.txt'), 'mine\n')
  writeFileSync(join(path, 'staged.txt'), 'staged\n')
  git(path, 'add', 'staged.txt')
  const head = git(path, 'rev-parse', 'HEAD')
  const status = git(path, 'status', '--porcelain=v2', '--branch')
  const tree = describeTree(path)
  const events: string[] = []

  const result = await executeRun(
    workspace,
    () => {
      writeFileSync(join(path, 'a.txt'), 'broken\n')
      rmSync(join(path, 'b.txt'))
      rmSync(join(path, 'untracked.txt'))
      mkdirSync(join(path, 'made/by/agent'), { recursive: true })
      writeFileSync(join(path, 'made/by/agent/file.txt'), 'x')
      throw new Error('no')
    },
    { rollbackOnFailure: true, onEvent: ({ type }) => events.push(type) },
  )
  expect(result.workspace?.error).toBeUndefined()
  expect(result.workspace?.rollback).toMatchObject({
    verified: true,
    deleted: ['made/by/agent/file.txt'],
    dryRun: false,
  })
  expect(describeTree(path)).toEqual(tree)
  expect(git(path, 'rev-parse', 'HEAD')).toBe(head)
  expect(git(path, 'status', '--porcelain=v2', '--branch')).toBe(status)
  expect(events.slice(-3)).toEqual(['workspace_diff_computed', 'workspace_rolled_back', 'run_finished'])
  expect(result.workspace?.diff?.changedPaths).toContain('made/by/agent/file.txt')
})

it('does not roll back over what somebody edits after the agent has ended', async () => {
  const workspace = makeWorkspace()
  const edited = join(workspace.path, 'a.txt')
  const result = await executeRun(
    workspace,
    () => {
      writeFileSync(edited, 'by the agent\n')
      throw new Error('no')
    },
    {
      rollbackOnFailure: true,
      onEvent({ type }) {
        if (type === 'workspace_diff_computed') writeFileSync(edited, 'by somebody else\n')
      },
    },
  )
  expect(result.workspace?.error).toMatchObject({ code: 'CONFLICT', details: { paths: ['a.txt'] } })
  expect(readFileSync(edited, 'utf8')).toBe('by somebody else\n')
})

it('does not roll back a completed run', async () => {
  const workspace = makeWorkspace()
  const result = await executeRun(workspace, ({ path }) => writeFileSync(join(path, 'a.txt'), 'kept\n'), {
    rollbackOnFailure: true,
  })
  expect(result.workspace?.rollback).toBeUndefined()
  expect(readFileSync(join(workspace.path, 'a.txt'), 'utf8')).toBe('kept\n')
})

it.each([
  ['hash with rollback', { strategy: 'hash', rollbackOnFailure: true }, 'INVALID_INPUT'],
  ['git outside a repository', { strategy: 'git' }, 'INVALID_INPUT'],
  ['an unknown strategy', { strategy: 'magic' as 'git' }, 'INVALID_INPUT'],
  ['a negative time', { timeoutMs: -1 }, 'INVALID_INPUT'],
] as const)('refuses %s before the agent starts', async (_, options, code) => {
  let calls = 0
  const run = executeRun(makePlainWorkspace(), () => (calls += 1), options)
  await expect(run).rejects.toMatchObject({ code })
  expect(calls).toBe(0)
})

it('rolls a failed run in a plain directory back, proven, and gives its patch (case 96)', async () => {
  const workspace = makePlainWorkspace({ 'a.txt': 'one\n', 'node_modules/x/index.js': 'x\n' })
  const { path } = workspace
  mkdirSync(join(path, 'empty'))
  const tree = describeTree(path)
  const result = await executeRun(
    workspace,
    () => {
      writeFileSync(join(path, 'a.txt'), 'two\n')
      writeFileSync(join(path, 'made.txt'), 'made\n')
      rmSync(join(path, 'node_modules'), { recursive: true })
      rmSync(join(path, 'empty'), { recursive: true })
      throw new Error('the agent gave up')
    },
    { rollbackOnFailure: true },
  )
  expect(result).toMatchObject({
    status: 'failed',
    workspace: {
      backend: 'bundle',
      diff: {
        changedPaths: ['a.txt', 'empty', 'made.txt', 'node_modules/x/index.js'],
        insertions: 2,
        deletions: 2,
      },
      rollback: {
        restored: ['a.txt', 'empty', 'node_modules/x/index.js'],
        deleted: ['made.txt'],
        verified: true,
      },
    },
  })
  expect(result.workspace?.error).toBeUndefined()
  expect(describeTree(path)).toEqual(tree)
  execFileSync('git', ['apply', '-'], { cwd: path, input: decodePatch(result.workspace!.diff!)! })
  expect(readFileSync(join(path, 'a.txt'), 'utf8')).toBe('two\n')
  expect(readFileSync(join(path, 'made.txt'), 'utf8')).toBe('made\n')
})

it('takes the bundle strategy by name, in a repository too, and undoes a run from its record (case 99)', async () => {
  const workspace = makeWorkspace()
  const { path } = workspace
  writeFiles(path, { '.gitignore': 'ignored/\n', 'ignored/data': 'precious\n' })
  const result = await executeRun(workspace, () => writeFileSync(join(path, 'ignored/data'), 'spoilt\n'), {
    strategy: 'bundle',
  })
  expect(result.workspace).toMatchObject({ backend: 'bundle', diff: { changedPaths: ['ignored/data'] } })
  const status = git(path, 'status', '--porcelain=v2', '--branch')
  const { beforeSnapshot } = JSON.parse(JSON.stringify(result.workspace)) as NonNullable<
    typeof result.workspace
  >
  expect(await workspace.rollback(beforeSnapshot)).toMatchObject({
    restored: ['ignored/data'],
    verified: true,
  })
  expect(readFileSync(join(path, 'ignored/data'), 'utf8')).toBe('precious\n')
  expect(git(path, 'status', '--porcelain=v2', '--branch')).toBe(status)
})

it('refuses a missing path, a file and an empty path before the agent starts', async () => {
  let calls = 0
  const agent = () => (calls += 1)
  const directory = temporaryDirectory()
  writeFileSync(join(directory, 'file'), '')
  await expect(executeRun(join(directory, 'nothing'), agent)).rejects.toMatchObject({ code: 'NOT_FOUND' })
  await expect(executeRun(join(directory, 'file'), agent)).rejects.toMatchObject({ code: 'INVALID_INPUT' })
  await expect(executeRun('', agent)).rejects.toMatchObject({ code: 'INVALID_INPUT' })
  expect(calls).toBe(0)
})

it('leaves a patch over the cap out whole, with its size, its hash and the list of changes (case 94)', async () => {
  const result = await executeRun(
    makeWorkspace(),
    ({ path }) => writeFileSync(join(path, 'a.txt'), 'line\n'.repeat(500)),
    {
      maxPatchBytes: 100,
    },
  )
  expect(result.workspace?.diff).toMatchObject({
    patch: null,
    patchRef: null,
    patchOmitted: true,
    changedPaths: ['a.txt'],
  })
  expect(result.workspace?.diff?.patchBytes).toBeGreaterThan(2_500)
  expect(result.workspace?.diff?.patchSha256).toMatch(/^[0-9a-f]{64}$/)
})

it.each([
  ['over the cap', 10],
  ['under the cap', 1_000_000],
])('puts a patch %s into the artifact store, whole, and only there', async (_, maxPatchBytes) => {
  const artifactStore = createArtifactStore(memoryStore())
  const events: RunEvent[] = []
  const result = await executeRun(
    makeWorkspace(),
    ({ path }) => writeFileSync(join(path, 'a.txt'), 'line\n'.repeat(500)),
    {
      maxPatchBytes,
      artifactStore,
      onEvent: (event) => events.push(event),
    },
  )
  const diff = result.workspace!.diff!
  expect(diff).toMatchObject({ patch: null, patchOmitted: false })
  const stored = await artifactStore.get(diff.patchRef!)
  expect(stored?.byteLength).toBe(diff.patchBytes)
  expect(Buffer.from(stored!).toString()).toContain('diff --git a/a.txt b/a.txt')
  expect(events.find((event) => event.type === 'workspace_diff_computed')).toMatchObject({ hasPatch: true })
  expect(result.record.workspace?.diff?.patchRef).toBe(diff.patchRef)
})

it('makes no patch when told so', async () => {
  const result = await executeRun(makeWorkspace(), ({ path }) => writeFileSync(join(path, 'a.txt'), 'x'), {
    capturePatch: false,
  })
  expect(result.workspace?.diff).toMatchObject({
    filesChanged: 1,
    patch: null,
    patchBytes: null,
    patchOmitted: false,
  })
})

it('forwards the ignore rules to the hash strategy', async () => {
  const result = await executeRun(
    makePlainWorkspace(),
    ({ path }) => {
      writeFiles(path, {
        'seen.txt': '1',
        'debug.log': '2',
        'deep/trace.log': '3',
        'vendor/x': '4',
        'node_modules/y': '5',
      })
    },
    { ignore: { paths: ['vendor'], globs: ['*.log'] } },
  )
  expect(result.workspace).toMatchObject({ backend: 'hash', diff: { patch: null, insertions: 0 } })
  expect(result.workspace?.diff?.changedPaths.filter((path) => path !== 'deep')).toEqual(['seen.txt'])
})

it('leaves no git behind when the artifact store takes nothing of a large patch, so that the host can end', async () => {
  const result = await executeRun(
    makeWorkspace(),
    ({ path }) => writeFileSync(join(path, 'large.txt'), 'line\n'.repeat(400_000)),
    { artifactStore: brokenArtifactStore },
  )
  expect(result.workspace?.error).toMatchObject({ code: 'UNAVAILABLE' })
  const isRunning = () => process.getActiveResourcesInfo().includes('ProcessWrap')
  await vi.waitFor(() => expect(isRunning()).toBe(false))
})

it('keeps the result of a completed run when the artifact store is down, and says what went wrong', async () => {
  const events: RunEvent[] = []
  const result = await executeRun(makeWorkspace(), ({ path }) => writeFileSync(join(path, 'a.txt'), 'x'), {
    artifactStore: brokenArtifactStore,
    onEvent: (event) => events.push(event),
  })
  expect(result.status).toBe('completed')
  expect(result.workspace?.diff?.changedPaths).toEqual(['a.txt'])
  expect(result.workspace?.error).toMatchObject({ code: 'UNAVAILABLE' })
  expect(result.record.workspace?.error).toMatchObject({
    code: 'UNAVAILABLE',
    message: 'The artifact store is down.',
  })
  expect(events.find((event) => event.type === 'workspace_step_failed')).toMatchObject({
    step: 'patch',
    code: 'UNAVAILABLE',
  })
})

it('rolls back and keeps the error of the agent when the artifact store is down', async () => {
  const workspace = makeWorkspace()
  const thrown = new Error('agent')
  const result = await executeRun(
    workspace,
    ({ path }) => {
      writeFileSync(join(path, 'a.txt'), 'x')
      throw thrown
    },
    { artifactStore: brokenArtifactStore, rollbackOnFailure: true },
  )
  expect(result.error).toBe(thrown)
  expect(result.workspace?.rollback?.verified).toBe(true)
  expect(readFileSync(join(workspace.path, 'a.txt'), 'utf8')).toBe('one\n')
})

it('keeps the error of the agent when the agent put a file in the place of the workspace', async () => {
  const workspace = makeWorkspace()
  const thrown = new Error('agent')
  const result = await executeRun(workspace, ({ path }) => {
    renameSync(path, `${path}-elsewhere`)
    writeFileSync(path, 'no directory')
    throw thrown
  })
  expect(result.status).toBe('failed')
  expect(result.error).toBe(thrown)
  expect(WorkspaceError.is(result.workspace?.error)).toBe(true)
  expect(result.workspace).toMatchObject({ afterSnapshot: null, diff: null })
})

it('runs only the agent when the workspace flow is switched off', async () => {
  const events: string[] = []
  const result = await executeRun(makePlainWorkspace(), ({ before }) => before, {
    enabled: false,
    onEvent: ({ type }) => events.push(type),
  })
  expect(result).toMatchObject({ status: 'completed', value: null, workspace: null })
  expect(result.record.workspace).toBeNull()
  expect(events).toEqual(['run_finished'])
})

it('notes a listener that throws, or rejects, and goes on', async () => {
  const result = await executeRun(makeWorkspace(), () => 1, {
    onEvent: ({ type }) => {
      if (type === 'run_started') throw new Error('listener')
    },
  })
  expect(result.status).toBe('completed')
  expect(result.record.warnings).toEqual([expect.stringContaining('run_started: listener')])
})

it('gives a record and a workspace that survive JSON unchanged', async () => {
  const result = await executeRun(
    makeWorkspace(),
    ({ path }) => {
      writeFileSync(join(path, 'a.txt'), Buffer.from([0xff, 0xfe, 0x0a]))
      throw new WorkspaceError('BUSY', 'later')
    },
    { metadata: { task: 7 }, rollbackOnFailure: true },
  )
  expect(JSON.parse(JSON.stringify(result.record))).toEqual(result.record)
  expect(JSON.parse(JSON.stringify(result.workspace))).toEqual(result.workspace)
  expect(result.record).toMatchObject({ metadata: { task: 7 }, error: { code: 'BUSY' } })
})

it('loads before and saves after, and records both versions', async () => {
  const directory = temporaryDirectory()
  const store = memoryStore()
  const first = new Workspace({
    id: 'task',
    path: join(directory, 'first'),
    store,
    stateDir: join(directory, 'state'),
  })
  const made = await executeRun(first, ({ path }) => writeFileSync(join(path, 'note.txt'), 'one'), {
    load: true,
    save: 'first',
  })
  expect(made.record.workspace).toMatchObject({ loadedVersion: null, savedVersion: 1 })

  const second = new Workspace({
    id: 'task',
    path: join(directory, 'second'),
    store,
    stateDir: join(directory, 'state'),
  })
  const events: string[] = []
  const continued = await executeRun(
    second,
    ({ path }) => {
      expect(readFileSync(join(path, 'note.txt'), 'utf8')).toBe('one')
      writeFileSync(join(path, 'note.txt'), 'two')
    },
    { load: true, save: 'second', onEvent: ({ type }) => events.push(type) },
  )
  expect(continued.record.workspace).toMatchObject({
    loadedVersion: 1,
    savedVersion: 2,
    diff: { changedPaths: ['note.txt'] },
  })
  expect(events.slice(0, 2)).toEqual(['run_started', 'workspace_loaded'])
  expect(events.slice(-2)).toEqual(['workspace_saved', 'run_finished'])
})

it('does not pass over a version that somebody else saved during the run', async () => {
  const directory = temporaryDirectory()
  const store = memoryStore()
  const open = (name: string) =>
    new Workspace({ id: 'task', path: join(directory, name), store, stateDir: join(directory, 'state') })
  mkdirSync(join(directory, 'first'))
  await open('first').save('first')
  const agent = async () => {
    await open('first').save('meanwhile')
  }
  const refused = await executeRun(open('second'), agent, { load: true, save: 'second' })
  expect(refused).toMatchObject({
    status: 'completed',
    workspace: { error: { code: 'CONFLICT', details: { winner: 2 } } },
    record: { workspace: { loadedVersion: 1, savedVersion: null } },
  })
  const unseen = await executeRun(
    new Workspace({
      id: 'unseen',
      path: join(directory, 'third'),
      store,
      stateDir: join(directory, 'state'),
    }),
    async ({ workspace }) => {
      const other = { id: workspace.id, path: join(directory, 'first'), store }
      await new Workspace({ ...other, stateDir: join(directory, 'state') }).save('the first there is')
    },
    { load: true, save: 'second' },
  )
  expect(unseen.workspace?.error).toMatchObject({ code: 'CONFLICT', details: { expected: 0, winner: 1 } })
  const save = { message: 'second', onConflict: 'rebase' } as const
  const rebased = await executeRun(open('second'), agent, { load: true, save })
  expect(rebased.record.workspace).toMatchObject({ loadedVersion: 2, savedVersion: 4, error: null })
})

it('does not run an agent whose work could not be saved, on top of a template', async () => {
  const directory = temporaryDirectory()
  const store = memoryStore()
  const path = join(directory, 'work')
  const workspace = new Workspace({ id: 'task', path, store, stateDir: join(directory, 'state') })
  mkdirSync(path)
  await workspace.save('a template', { template: true })
  let calls = 0
  const run = executeRun(workspace, () => (calls += 1), { load: true, save: 'second' })
  await expect(run).rejects.toMatchObject({ code: 'ACCESS_DENIED' })
  expect(calls).toBe(0)
})

it('saves after a failed run only when asked', async () => {
  const directory = temporaryDirectory()
  mkdirSync(join(directory, 'work'))
  const workspace = new Workspace({
    id: 'task',
    path: join(directory, 'work'),
    store: memoryStore(),
    stateDir: join(directory, 'state'),
  })
  const fail = () => Promise.reject(new Error('no'))
  expect((await executeRun(workspace, fail, { save: 'x' })).record.workspace?.savedVersion).toBeNull()
  const saved = await executeRun(workspace, fail, { save: { message: 'x', onFailure: true } })
  expect(saved).toMatchObject({ status: 'failed', record: { workspace: { savedVersion: 1 } } })
})
