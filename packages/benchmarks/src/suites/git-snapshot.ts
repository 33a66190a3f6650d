import { join } from 'node:path'
import { Workspace } from '@ws/core'
import { takeTurns, type Measurement, type Suite } from '../measurement.ts'
import { commitTree, copyProjectTree, editTenFiles, packObjects } from '../trees/project-tree.ts'
import { shell } from '../shell.ts'

const STATUS = 'git status --porcelain=v2 -uall'

/** Snapshots and rollback in a git repository that holds a project with its node_modules. */
export const gitSnapshotSuite: Suite = {
  name: 'git-snapshot',
  async run({ directory, samples, log }) {
    const path = join(directory, 'repository')
    await copyProjectTree(path, log)
    await commitTree(path)
    const status = { run: () => shell(`${STATUS} >/dev/null`, path) }
    const measurements: Measurement[] = []

    let fresh = 0
    const first = {
      run: () =>
        new Workspace({ id: 'bench', path, stateDir: join(directory, `state-${(fresh += 1)}`) }).snapshot({
          strategy: 'git',
        }),
    }
    const firstSamples = Math.min(samples, 5)
    const loose = await takeTurns(firstSamples, { status, first })
    measurements.push(
      line('first snapshot, every object of its own file', loose.first, loose.status, firstSamples, null),
    )
    await packObjects(path)
    const packed = await takeTurns(firstSamples, { status, first })
    measurements.push(
      line('first snapshot, new state directory', packed.first, packed.status, firstSamples, 2),
    )

    const workspace = new Workspace({ id: 'bench', path, stateDir: join(directory, 'state') })
    const backend = await workspace.openBackend({ strategy: 'git' })
    const warm = await takeTurns(samples, {
      status,
      backend: { run: () => backend.capture({ label: 'bench' }) },
      workspace: { run: () => workspace.snapshot({ strategy: 'git' }) },
    })
    measurements.push(
      line('snapshot, nothing changed (open backend)', warm.backend, warm.status, samples, 1.5),
    )
    measurements.push(
      line('snapshot, nothing changed (workspace.snapshot)', warm.workspace, warm.status, samples, null),
    )

    const before = await backend.capture({ label: 'before' })
    const edit = (): Promise<void> => editTenFiles(path)
    const changed = await takeTurns(samples, {
      status: { prepare: edit, run: status.run },
      snapshot: { prepare: edit, run: () => backend.capture({ label: 'after', previous: before }) },
      rollback: { prepare: edit, run: () => backend.rollback(before) },
    })
    measurements.push(line('snapshot, 10 files edited', changed.snapshot, changed.status, samples, null))
    measurements.push(
      line('rollback of 10 files, guarded and proven', changed.rollback, changed.status, samples, 3),
    )
    return { measurements }
  },
}

function line(name: string, ours: number, peer: number, samples: number, target: number | null): Measurement {
  return {
    suite: 'git-snapshot',
    name,
    unit: 'ms',
    ours,
    peer: { name: STATUS, value: peer },
    samples,
    target,
  }
}
