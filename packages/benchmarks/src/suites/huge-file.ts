import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { peerTools, TAR_ZSTD } from '../backup-tools.ts'
import { timeOf, type Measurement, type Suite } from '../measurement.ts'
import { runWorkspaceChild } from '../run-workspace-child.ts'
import { isInstalled, quote, shell } from '../shell.ts'
import { writeHugeFile } from '../trees/workspace-trees.ts'
import { MEMORY_TARGET_MB } from './memory.ts'

/** One file of 10 GB: memory and time of a process that saves and loads it. One sample: it is about the order of magnitude. */
export const hugeFileSuite: Suite = {
  name: 'huge-file',
  isHeavy: true,
  async run({ directory, isQuick, log }) {
    const gigabytes = isQuick ? 0.2 : 10
    const tree = join(directory, 'tree')
    log(`  writing ${gigabytes} GB`)
    writeHugeFile(tree, gigabytes * 1e9)
    const to = join(directory, 'store')
    const stateDirectory = join(directory, 'state')
    const loaded = join(directory, 'loaded')
    const sync = (): Promise<void> => shell(`sync -f ${quote(directory)}`, directory)

    await sync()
    let savedIn = 0
    const saveMs = await timeOf(async () => {
      savedIn = await runWorkspaceChild({ task: 'save', directory: tree, to, stateDirectory })
    })
    await sync()
    let loadedIn = 0
    const loadMs = await timeOf(async () => {
      loadedIn = await runWorkspaceChild({ task: 'load', directory: loaded, to, stateDirectory })
    })
    await shell(`cmp ${quote(join(tree, 'disk.img'))} ${quote(join(loaded, 'disk.img'))}`, directory)
    for (const path of [to, stateDirectory, loaded]) rmSync(path, { recursive: true })

    const line = (name: string, unit: 'ms' | 'MB', ours: number, peer: Measurement['peer']): Measurement => ({
      suite: 'huge-file',
      name,
      unit,
      ours,
      peer,
      samples: 1,
      target: unit === 'MB' ? MEMORY_TARGET_MB : null,
    })
    const measurements = [
      line(`memory of a first save of ${gigabytes} GB`, 'MB', savedIn, null),
      line(`memory of a load of ${gigabytes} GB`, 'MB', loadedIn, null),
    ]
    for (const tool of peerTools.filter(({ name }) => name === TAR_ZSTD || name === 'restic')) {
      const { name, programs } = tool
      const isPresent = isInstalled(...programs)
      log(`  ${name}`)
      const place = join(directory, 'peer')
      const destination = join(directory, 'restored')
      const times = { save: 0, load: 0 }
      if (isPresent) {
        mkdirSync(place)
        mkdirSync(destination)
        const repository = tool.open(place)
        await repository.initialize()
        await sync()
        times.save = await timeOf(() => repository.save(tree))
        await sync()
        times.load = await timeOf(() => repository.restore(destination))
        for (const path of [place, destination]) rmSync(path, { recursive: true })
      }
      const peer = (value: number): Measurement['peer'] =>
        isPresent ? { name, value } : { name, absent: true }
      measurements.push(
        line(`first save of ${gigabytes} GB, new process`, 'ms', saveMs, peer(times.save)),
        line(`load of ${gigabytes} GB, new process`, 'ms', loadMs, peer(times.load)),
      )
    }
    return { measurements }
  },
}
