import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { median, type Measurement } from './measurement.ts'
import { warmWorkspace } from './workspace-tools.ts'

const RESOLUTION_MS = 1
const TARGET_MS = 20

/** How long the host's event loop is held up while a tree is saved and loaded: of all waits for a 1 ms timer the 99th percentile. */
export async function measureEventLoop(
  suite: string,
  directory: string,
  tree: string,
  samples: number,
): Promise<Measurement[]> {
  const delays = {
    save: [] as number[],
    load: [] as number[],
    saveMost: [] as number[],
    loadMost: [] as number[],
  }
  for (let sample = 0; sample < samples; sample += 1) {
    const place = join(directory, `sample-${sample}`)
    const destination = join(place, 'loaded')
    mkdirSync(destination, { recursive: true })
    const repository = warmWorkspace.open(place)
    const saving = await delayDuring(() => repository.save(tree))
    const loading = await delayDuring(() => repository.restore(destination))
    delays.save.push(saving.p99)
    delays.saveMost.push(saving.most)
    delays.load.push(loading.p99)
    delays.loadMost.push(loading.most)
    rmSync(place, { recursive: true })
  }
  const line = (name: string, values: readonly number[], target: number | null): Measurement => ({
    suite,
    name,
    unit: 'ms',
    ours: median(values),
    peer: null,
    samples,
    target,
  })
  return [
    line('event loop delay during a first save, p99', delays.save, TARGET_MS),
    line('event loop delay during a first save, longest', delays.saveMost, null),
    line('event loop delay during a load, p99', delays.load, TARGET_MS),
    line('event loop delay during a load, longest', delays.loadMost, null),
  ]
}

async function delayDuring(
  run: () => Promise<unknown>,
): Promise<{ readonly p99: number; readonly most: number }> {
  const histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS })
  histogram.enable()
  await run()
  // A wait that the run's end cut short still counts.
  await new Promise((resolve) => setTimeout(resolve, 2 * RESOLUTION_MS))
  histogram.disable()
  return { p99: histogram.percentile(99) / 1e6, most: histogram.max / 1e6 }
}
