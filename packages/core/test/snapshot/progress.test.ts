import { mkdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { memoryStore } from '@ws/store-memory'
import { describe, expect, it } from 'vitest'
import {
  executeRun,
  Workspace,
  type RunProgress,
  type SnapshotProgress,
  type SnapshotStrategy,
} from '../../src/index.ts'
import { passProgress } from '../../src/snapshot/snapshot-progress.ts'
import { createRepository, temporaryDirectory, writeFiles } from '../support/temporary-directory.ts'

function createWorkspace(strategy: SnapshotStrategy, files: number): Workspace {
  const base = temporaryDirectory()
  const path = join(base, 'work')
  mkdirSync(path)
  if (strategy === 'git') createRepository(path, { 'first.txt': 'x' })
  const content = Array.from({ length: files }, (_, index) => [`dir-${index % 50}/${index}`, `${index}\n`])
  writeFiles(path, Object.fromEntries(content) as Record<string, string>)
  return new Workspace({ id: 'w', path, stateDir: join(base, 'state'), store: memoryStore() })
}

/** In each phase numbers only grow, up to what was expected. */
function expectToBeInOrder(reports: readonly SnapshotProgress[]): void {
  for (const [index, report] of reports.entries()) {
    const before = reports[index - 1]
    if (report.filesExpected !== null) expect(report.filesDone).toBeLessThanOrEqual(report.filesExpected)
    if (before?.phase !== report.phase) continue
    expect(report.filesDone).toBeGreaterThanOrEqual(before.filesDone)
    expect(report.bytesDone).toBeGreaterThanOrEqual(before.bytesDone)
  }
}

describe.each(['git', 'hash', 'bundle'] as const)('a snapshot by %s', (strategy) => {
  // The second is large enough for threads, where there are any.
  it.each([40, 2100])('of %i new files tells how far it is, to the end', async (files) => {
    const workspace = createWorkspace(strategy, files)
    const reports: SnapshotProgress[] = []
    await workspace.snapshot({ strategy, onProgress: (progress) => reports.push(progress) })
    expectToBeInOrder(reports)
    const last = reports.at(-1)
    expect(last).toMatchObject({ phase: 'read' })
    expect(last?.filesDone).toBe(last?.filesExpected)
    expect(last?.filesDone).toBeGreaterThanOrEqual(files)
    expect(last?.bytesDone).toBeGreaterThanOrEqual(files)
  })

  it.each([40, 2100])(
    'of %i files whose listener throws fails with that, and the next one works',
    async (files) => {
      const workspace = createWorkspace(strategy, files)
      const reason = new Error('no more')
      const throwing = () => {
        throw reason
      }
      const failure: unknown = await workspace.snapshot({ strategy, onProgress: throwing }).catch((error: unknown) => error) // prettier-ignore
      expect([failure, (failure as Error).cause]).toContain(reason)
      expect((await workspace.snapshot({ strategy })).coverage.captured).toBeGreaterThanOrEqual(files)
    },
  )
})

describe.each(['git', 'bundle'] as const)('a rollback by %s', (strategy) => {
  it('tells that it looks, writes, and looks again', async () => {
    const workspace = createWorkspace(strategy, 60)
    const before = await workspace.snapshot({ strategy })
    rmSync(join(workspace.path, 'dir-7'), { recursive: true })
    writeFiles(workspace.path, { 'dir-1/1': 'changed', 'dir-2/2': 'changed', 'dir-3/new': 'new' })
    const reports: SnapshotProgress[] = []
    await workspace.rollback(before, { onProgress: (progress) => reports.push(progress) })
    expectToBeInOrder(reports)
    const writes = reports.filter(({ phase }) => phase === 'write')
    expect(writes.at(0)).toMatchObject({ filesDone: 0, filesExpected: 4 })
    expect(writes.at(-1)).toMatchObject({ filesDone: 4, filesExpected: 4 })
    const phases = reports.map(({ phase }) => phase)
    expect(phases.indexOf('read')).toBeLessThan(phases.indexOf('write'))
    expect(phases.lastIndexOf('read')).toBeGreaterThan(phases.lastIndexOf('write'))
  })

  it('whose listener throws leaves everything as it was', async () => {
    const workspace = createWorkspace(strategy, 60)
    const before = await workspace.snapshot({ strategy })
    writeFiles(workspace.path, { 'dir-1/1': 'one', 'dir-2/2': 'two' })
    const onProgress = ({ phase, filesDone }: SnapshotProgress): void => {
      if (phase === 'write' && filesDone === 2) throw new Error('no more')
    }
    await expect(workspace.rollback(before, { onProgress })).rejects.toThrow('no more')
    expect(readFileSync(join(workspace.path, 'dir-1/1'), 'utf8')).toBe('one')
    expect(readFileSync(join(workspace.path, 'dir-2/2'), 'utf8')).toBe('two')
    expect((await workspace.rollback(before)).restored).toEqual(['dir-1/1', 'dir-2/2'])
  })
})

describe('a run', () => {
  it('tells how far each step around the agent is', async () => {
    const workspace = createWorkspace('bundle', 20)
    await workspace.save('first')
    const steps = new Set<RunProgress['step']>()
    await executeRun(
      workspace,
      ({ path }) => {
        writeFiles(path, { 'dir-1/1': 'changed' })
        throw new Error('failed')
      },
      {
        load: true,
        save: { message: 'after', onFailure: true },
        rollbackOnFailure: true,
        onProgress: ({ step }) => steps.add(step),
      },
    )
    expect([...steps].toSorted()).toEqual(['after-snapshot', 'before-snapshot', 'load', 'rollback', 'save'])
  })

  it('is not harmed by a listener that throws or rejects, and says so', async () => {
    for (const onProgress of [
      () => {
        throw new Error('bad listener')
      },
      (() => Promise.reject(new Error('bad listener'))) as () => void,
    ]) {
      const result = await executeRun(createWorkspace('bundle', 20), () => 1, {
        strategy: 'bundle',
        onProgress,
      })
      expect(result).toMatchObject({ status: 'completed', value: 1 })
      expect(result.record.warnings).toEqual([expect.stringContaining('bad listener')])
    }
  })
})

it('a listener hears the first and last of each phase, and else one report in 50 ms', () => {
  let now = 0
  const heard: number[] = []
  const pass = passProgress(
    ({ filesDone }) => heard.push(filesDone),
    () => now,
  )
  for (let filesDone = 0; filesDone <= 100; filesDone += 1) {
    pass?.({ phase: 'read', filesDone, filesExpected: 100, bytesDone: 0 })
    now += 10
  }
  pass?.({ phase: 'write', filesDone: 1, filesExpected: 2, bytesDone: 0 })
  expect(heard).toEqual([...Array.from({ length: 20 }, (_, index) => index * 5), 100, 1])
})
