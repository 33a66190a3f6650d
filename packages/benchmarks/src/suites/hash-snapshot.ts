import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { Workspace } from '@ws/core'
import { takeTurns, type Measurement, type Suite } from '../measurement.ts'
import { copyProjectTree, editTenFiles } from '../trees/project-tree.ts'
import { isInstalled, shell } from '../shell.ts'
import { walkTree } from '../walk-tree.ts'

/** Snapshots by manifest of a project with its node_modules, nothing left out. */
export const hashSnapshotSuite: Suite = {
  name: 'hash-snapshot',
  async run({ directory, samples, log }) {
    const path = join(directory, 'project')
    await copyProjectTree(path, log)
    const open = (state: string) =>
      new Workspace({ id: 'bench', path, stateDir: join(directory, state) }).openBackend({
        strategy: 'hash',
        ignore: { defaults: false },
      })
    const walk = { run: async () => walkTree(path) }

    const cores = availableParallelism()
    const sums = `find . -type f -print0 | xargs -0 -P${cores} -n500 sha256sum >/dev/null`
    const hasSums = isInstalled('find', 'xargs', 'sha256sum')
    let fresh = 0
    let cold = await open('state-0')
    const coldTimes = await takeTurns(samples, {
      sums: { run: () => (hasSums ? shell(sums, path) : Promise.resolve()) },
      ours: {
        prepare: async () => void (cold = await open(`state-${(fresh += 1)}`)),
        run: () => cold.capture({ label: 'bench' }),
      },
    })

    const backend = await open('state')
    // Files written less than two seconds ago are read again; what is measured here is the state after that.
    await wait(2100)
    await backend.capture({ label: 'bench' })
    const warm = await takeTurns(samples, { walk, ours: { run: () => backend.capture({ label: 'bench' }) } })
    const after = await takeTurns(samples, {
      walk,
      ours: {
        prepare: () => editTenFiles(path),
        run: () => backend.capture({ label: 'bench' }),
      },
    })
    const line = (
      name: string,
      ours: number,
      peer: Measurement['peer'],
      target: number | null,
    ): Measurement => ({
      suite: 'hash-snapshot',
      name,
      unit: 'ms',
      ours,
      peer,
      samples,
      target,
    })
    const summed = `find | xargs -P${cores} sha256sum`
    return {
      measurements: [
        line(
          'snapshot, nothing changed',
          warm.ours,
          { name: 'readdir and lstat of all', value: warm.walk },
          1.5,
        ),
        line(
          'snapshot, 10 files edited',
          after.ours,
          { name: 'readdir and lstat of all', value: after.walk },
          null,
        ),
        line(
          'first snapshot',
          coldTimes.ours,
          hasSums ? { name: summed, value: coldTimes.sums } : { name: summed, absent: true },
          1.3,
        ),
      ],
    }
  },
}
