import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { executeRun, Workspace } from '../../src/index.ts'
import { describeTree } from '../support/describe-tree.ts'
import { createRepository, temporaryDirectory } from '../support/temporary-directory.ts'

const coreUrl = new URL('../../src/index.ts', import.meta.url).href

function makeWorkspace(): Workspace {
  const directory = temporaryDirectory()
  createRepository(join(directory, 'work'), { 'a.txt': 'one\n' })
  return new Workspace({ id: 'work', path: join(directory, 'work'), stateDir: join(directory, 'state') })
}

/** A process of its own that runs `agentBody` under executeRun on the same workspace. */
function startRunElsewhere(workspace: Workspace, agentBody: string, options = '{}'): ChildProcess {
  const script = `
    const { executeRun, Workspace } = await import(${JSON.stringify(coreUrl)})
    const { appendFileSync, readFileSync, writeFileSync } = await import('node:fs')
    const workspace = new Workspace(${JSON.stringify({ id: 'work', path: workspace.path, stateDir: workspace.stateDir })})
    const path = workspace.path
    const wait = () => new Promise((resolve) => setTimeout(resolve, 30))
    try {
      const result = await executeRun(workspace, async () => { ${agentBody} }, ${options})
      process.stdout.write('\\n' + JSON.stringify({ status: result.status, diff: result.workspace.diff.changedPaths }) + '\\n')
    } catch (error) {
      process.stdout.write('\\n' + JSON.stringify({ code: error.code }) + '\\n')
    }
  `
  return spawn(process.execPath, ['--conditions=@ws/source', '--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
}

async function lastLine(child: ChildProcess): Promise<Record<string, unknown>> {
  let text = ''
  child.stdout!.on('data', (chunk: Buffer) => (text += chunk.toString()))
  await once(child, 'close')
  return JSON.parse(text.trim().split('\n').at(-1)!) as Record<string, unknown>
}

it('serialises runs of several processes: none sees the half of another', async () => {
  const workspace = makeWorkspace()
  const results = await Promise.all(
    [1, 2, 3, 4].map((index) =>
      lastLine(
        startRunElsewhere(
          workspace,
          `writeFileSync(path + '/run-${index}-begin', ''); await wait(); writeFileSync(path + '/run-${index}-end', '')`,
        ),
      ),
    ),
  )
  const diffs = results.map((result) => result['diff'])
  for (const index of [1, 2, 3, 4]) expect(diffs).toContainEqual([`run-${index}-begin`, `run-${index}-end`])
})

it('refuses with BUSY while another process runs, when asked to', async () => {
  const workspace = makeWorkspace()
  const other = startRunElsewhere(
    workspace,
    `process.stdout.write('started'); await new Promise(() => setInterval(() => {}, 1000))`,
  )
  await once(other.stdout!, 'data')
  let calls = 0
  await expect(executeRun(workspace, () => (calls += 1), { onBusy: 'refuse' })).rejects.toMatchObject({
    code: 'BUSY',
    message: expect.stringContaining(`is at a run of ${workspace.path}.`),
    details: { pid: other.pid },
  })
  await expect(executeRun(workspace, () => (calls += 1), { waitTimeoutMs: 30 })).rejects.toMatchObject({
    code: 'BUSY',
  })
  expect(calls).toBe(0)
  other.kill('SIGKILL')
  await once(other, 'close')
})

it('is blocked by nothing that a killed run left, sees its edits as the present state, and says so', async () => {
  const workspace = makeWorkspace()
  const killed = startRunElsewhere(
    workspace,
    `writeFileSync(path + '/left-over.txt', 'x'); process.kill(process.pid, 'SIGKILL')`,
    '{ rollbackOnFailure: true }',
  )
  await once(killed, 'close')
  const result = await executeRun(workspace, ({ path }) => writeFileSync(join(path, 'next.txt'), 'y'), {
    onBusy: 'refuse',
  })
  expect(result).toMatchObject({ status: 'completed', workspace: { diff: { changedPaths: ['next.txt'] } } })
  expect(result.record.warnings).toEqual([expect.stringContaining(`process ${killed.pid}`)])
})

it('refuses a run inside a run on the same workspace instead of waiting for itself', async () => {
  const workspace = makeWorkspace()
  const result = await executeRun(workspace, () => executeRun(workspace, () => 1))
  expect(result).toMatchObject({ status: 'failed', error: { code: 'BUSY' } })
})

it('aborts the agent by signal, sees what it did, and rolls it back', async () => {
  const workspace = makeWorkspace()
  const tree = describeTree(workspace.path)
  const controller = new AbortController()
  const reason = new Error('the user pressed stop')
  const result = await executeRun(
    workspace,
    async ({ path, signal }) => {
      writeFileSync(join(path, 'a.txt'), 'half')
      controller.abort(reason)
      await new Promise((_, reject) => {
        if (signal.aborted) reject(new Error('stopping'))
        signal.addEventListener('abort', () => reject(new Error('stopping')))
      })
    },
    { signal: controller.signal, rollbackOnFailure: true },
  )
  expect(result.status).toBe('aborted')
  expect(result.error).toBe(reason)
  expect(result.workspace).toMatchObject({
    afterSnapshot: { label: 'after_failure' },
    diff: { changedPaths: ['a.txt'] },
    rollback: { verified: true },
  })
  expect(describeTree(workspace.path)).toEqual(tree)
})

it('aborts the agent when its time is over', async () => {
  const result = await executeRun(
    makeWorkspace(),
    ({ signal }) =>
      new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error))),
    { timeoutMs: 20 },
  )
  expect(result).toMatchObject({
    status: 'aborted',
    error: { code: 'TIMEOUT' },
    record: { error: { code: 'TIMEOUT' } },
  })
})

it('rejects with the reason of a signal that was aborted before, and does not start the agent', async () => {
  let calls = 0
  const run = executeRun(makeWorkspace(), () => (calls += 1), {
    signal: AbortSignal.abort(new Error('never mind')),
  })
  await expect(run).rejects.toThrow('never mind')
  const controller = new AbortController()
  const late = executeRun(makeWorkspace(), () => (calls += 1), {
    signal: controller.signal,
    onEvent({ type }) {
      if (type === 'workspace_snapshot_taken') controller.abort(new Error('never mind'))
    },
  })
  await expect(late).rejects.toThrow('never mind')
  expect(calls).toBe(0)
})

it('leaves an agent that will not stop alone: no rollback under it, and the workspace stays locked until it ends', async () => {
  const workspace = makeWorkspace()
  let stop = () => {}
  const result = await executeRun(
    workspace,
    ({ path }) => {
      writeFileSync(join(path, 'a.txt'), 'still writing')
      return new Promise<void>((resolve) => (stop = resolve))
    },
    { timeoutMs: 10, abortGraceMs: 10, rollbackOnFailure: true },
  )
  expect(result).toMatchObject({ status: 'aborted', workspace: { error: { code: 'BUSY' } } })
  expect(result.workspace?.rollback).toBeUndefined()
  expect(readFileSync(join(workspace.path, 'a.txt'), 'utf8')).toBe('still writing')
  await expect(executeRun(workspace, () => 1, { onBusy: 'refuse' })).rejects.toMatchObject({ code: 'BUSY' })
  stop()
  expect(await executeRun(workspace, () => 1)).toMatchObject({ status: 'completed' })
  await workspace.rollback(result.workspace!.beforeSnapshot)
  expect(readFileSync(join(workspace.path, 'a.txt'), 'utf8')).toBe('one\n')
})

it('does not make a directory anew that an agent removed and may still be at work in', async () => {
  const workspace = makeWorkspace()
  let stop = () => {}
  const result = await executeRun(
    workspace,
    ({ path }) => {
      rmSync(path, { recursive: true })
      return new Promise<void>((resolve) => (stop = resolve))
    },
    { timeoutMs: 10, abortGraceMs: 10 },
  )
  stop()
  expect(result).toMatchObject({ status: 'aborted', workspace: { error: { code: 'NOT_FOUND' } } })
  expect(existsSync(workspace.path)).toBe(false)
})
