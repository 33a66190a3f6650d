import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { memoryStore } from '@ws/store-memory'
import { expect, it } from 'vitest'
import {
  createRunRecordStore,
  runOnce,
  Workspace,
  WorkspaceError,
  type ObjectStore,
  type RunRecordStore,
} from '../../src/index.ts'
import { createRepository, temporaryDirectory, writeFiles } from '../support/temporary-directory.ts'

function makeWorkspace(): Workspace {
  const directory = temporaryDirectory()
  createRepository(join(directory, 'work'), { 'a.txt': 'one\n' })
  return new Workspace({ id: 'work', path: join(directory, 'work'), stateDir: join(directory, 'state') })
}

it('keeps a running record while the agent works and the final one afterwards', async () => {
  const records = createRunRecordStore(memoryStore())
  const result = await runOnce(
    makeWorkspace(),
    async ({ runId, path }) => {
      expect(await records.get('work', runId)).toMatchObject({
        status: 'running',
        path,
        metadata: { task: 't' },
      })
      writeFiles(path, { 'b.txt': 'new\n' })
    },
    { records, metadata: { task: 't' } },
  )
  expect(await records.get('work', result.runId)).toEqual(result.record)
  expect(result.record.workspace?.diff?.changedPaths).toEqual(['b.txt'])
  expect(await Array.fromAsync(records.list('work'))).toEqual([result.record])
})

it('asks a store on a network again that was not there for a moment, and says so when told not to', async () => {
  const memory = memoryStore()
  let failures = 0
  const failing: ObjectStore = {
    ...memory,
    capabilities: { ...memory.capabilities, remote: true },
    put(key, body, options) {
      failures += 1
      if (failures % 2 === 0) return memory.put(key, body, options)
      throw new WorkspaceError('UNAVAILABLE', 'The service is busy.')
    },
  }
  const retry = { firstDelayMs: 0, maxDelayMs: 0 }
  const records = createRunRecordStore(failing, { reliability: { retry } })
  const result = await runOnce(makeWorkspace(), () => 1, { records })
  expect(await records.get('work', result.runId)).toEqual(result.record)
  expect(failures).toBe(4)
  const once = createRunRecordStore(failing, { reliability: false })
  await expect(once.put(result.record)).rejects.toMatchObject({ code: 'UNAVAILABLE' })
})

it('passes the options of the workspace flow on', async () => {
  const records = createRunRecordStore(memoryStore())
  const result = await runOnce(makeWorkspace(), () => 1, { records, strategy: 'hash', runId: 'run/7' })
  expect(result).toMatchObject({ runId: 'run/7', workspace: { backend: 'hash' } })
  expect(await records.get('work', 'run/7')).toEqual(result.record)
})

it('records a run that could not start, and rejects with the reason', async () => {
  const records = createRunRecordStore(memoryStore())
  const directory = temporaryDirectory()
  mkdirSync(join(directory, 'work'))
  const workspace = new Workspace({
    id: 'work',
    path: join(directory, 'work'),
    stateDir: join(directory, 'state'),
  })
  const run = runOnce(workspace, () => 1, { records, strategy: 'git', runId: 'r' })
  await expect(run).rejects.toMatchObject({ code: 'INVALID_INPUT' })
  expect(await records.get('work', 'r')).toMatchObject({
    status: 'failed',
    error: { code: 'INVALID_INPUT' },
    workspace: null,
  })
})

it('does not start when the first record cannot be stored, and keeps the result when the last one cannot', async () => {
  const working = createRunRecordStore(memoryStore())
  let puts = 0
  const failingFrom = (first: number): RunRecordStore => ({
    ...working,
    async put(record) {
      puts += 1
      if (puts >= first) throw new WorkspaceError('UNAVAILABLE', 'The records are down.')
      await working.put(record)
    },
  })
  let calls = 0
  await expect(
    runOnce(makeWorkspace(), () => (calls += 1), { records: failingFrom(1) }),
  ).rejects.toMatchObject({ code: 'UNAVAILABLE' })
  expect(calls).toBe(0)
  puts = 0
  const result = await runOnce(makeWorkspace(), () => (calls += 1), { records: failingFrom(2) })
  expect(result.status).toBe('completed')
  expect(result.record.warnings).toEqual([expect.stringContaining('The records are down.')])
})

it('gives null for an unknown run and CORRUPT for a record that is no JSON', async () => {
  const store = memoryStore()
  const records = createRunRecordStore(store, { prefix: 'host/' })
  expect(await records.get('work', 'unknown')).toBeNull()
  await store.put('host/runs/work/broken.json', Buffer.from('{'))
  await expect(records.get('work', 'broken')).rejects.toMatchObject({ code: 'CORRUPT' })
})

it('refuses to run without records, and says what to call instead', async () => {
  const workspace = makeWorkspace()
  const agent = () => expect.unreachable('the agent ran')
  for (const options of [{}, undefined, { records: null }] as unknown as {
    records: RunRecordStore
  }[]) {
    const run = runOnce(workspace, agent, options)
    const expected = {
      code: 'INVALID_INPUT',
      message: expect.stringMatching(/createRunRecordStore.*executeRun/),
    }
    await expect(run).rejects.toMatchObject(expected)
  }
})
