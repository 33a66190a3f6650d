import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { startFaultProxy, type FaultProxy } from '@ws/test-servers'
import {
  resticEnvironment,
  startAzure,
  startGcs,
  startS3,
  startS3WithRestic,
  startSupabase,
  type CloudService,
} from '../cloud-services.ts'
import {
  OWN_STEPS,
  WARM_EDIT,
  tabulateRatios,
  tabulateRequests,
  tabulateWaiting,
  transferMs,
  type MeasuredSteps,
  type OwnStep,
  type Step,
  type Steps,
} from '../cloud-steps.ts'
import type { Measurement, Suite } from '../measurement.ts'
import { runCloudChild, type CloudFigures, type CloudTask } from '../run-cloud-child.ts'
import { buildPackages } from '../run-workspace-child.ts'
import { isInstalled, quote, shell } from '../shell.ts'
import { copyProjectTree } from '../trees/project-tree.ts'
import { planEdits } from '../trees/tree-edits.ts'
import { writeLargeTree, writeSmallTree } from '../trees/workspace-trees.ts'

const SERVICES: readonly (() => Promise<CloudService>)[] = [
  startS3,
  startS3WithRestic,
  startGcs,
  startAzure,
  startSupabase,
]
const LATENCIES_MS = [0, 20, 100] as const
const MEMORY_TARGET_MB = 250
const TRANSFER_RATIO = 1.2
const EDIT_RATIO = 0.15
const ROUND_TRIPS = 4

/**
 * Versions on services on loopback, behind a proxy that adds latency, beside what one would do without: tar, zstd and the
 * SDK's own upload and download of the archive.
 */
export const storesSuite: Suite = storesSuiteOf('stores', 'M, 13,000 files', copyProjectTree)

/** The same for 1 GB. */
export const largeStoresSuite: Suite = storesSuiteOf('stores-large', 'L, 1 GB', writeLargeTree)

function storesSuiteOf(
  name: string,
  tree: string,
  writeTree: (destination: string, log: (line: string) => void) => Promise<void>,
): Suite {
  return {
    name,
    isHeavy: true,
    async run({ directory, isQuick, log }) {
      await buildPackages(log, ['store-s3', 'store-gcs', 'store-azure', 'store-supabase'])
      const place = join(directory, 'tree')
      await (isQuick ? writeSmallTree : writeTree)(place, log)
      const measurements: Measurement[] = []
      const all: MeasuredSteps[] = []
      for (const start of SERVICES) {
        const service = await start()
        try {
          const byLatency = new Map<number, Steps>()
          for (const latencyMs of isQuick ? [0, 20] : LATENCIES_MS) {
            log(`  ${service.name}, ${latencyMs} ms ...`)
            const steps = await measureService(service, latencyMs, place, directory)
            byLatency.set(latencyMs, steps)
            measurements.push(...compare(name, service.name, latencyMs, steps))
            all.push({ service: service.name, latencyMs, steps })
          }
          measurements.push(roundTrips(name, service.name, byLatency))
        } finally {
          await service.stop()
        }
      }
      const shown = isQuick ? 'S, 500 files' : tree
      const waiting = tabulateWaiting(shown, all, EDIT_RATIO)
      return { measurements, tables: [...tabulateRatios(shown, all), waiting, tabulateRequests(shown, all)] }
    },
  }
}

async function measureService(
  service: CloudService,
  latencyMs: number,
  tree: string,
  directory: string,
): Promise<Steps> {
  const place = join(directory, `${service.name}-${latencyMs}`)
  mkdirSync(place)
  const archive = join(place, 'archive.tar.zst')
  const proxy = await startFaultProxy({ target: service.origin, latencyMs })
  // Each latency has versions of its own.
  const connection = service.connect(proxy.origin)
  const stateDirectory = join(place, 'state')
  const taskOf = (task: CloudTask['task'], at: string, file: string): CloudTask => {
    return { task, id: `at-${latencyMs}`, connection, directory: at, stateDirectory, file }
  }
  const run = (task: CloudTask['task'], at: string, file = archive): Promise<Step> =>
    seen(proxy, () => runCloudChild(taskOf(task, at, file)))
  const timed = (command: string, at: string, environment = {}): Promise<Step> =>
    seen(proxy, async () => {
      const start = performance.now()
      await shell(command, at, environment)
      return { ms: performance.now() - start, megabytes: 0 }
    })
  const repository = service.resticRepository?.(proxy.origin)
  const restic = async (name: OwnStep, command: string, at = tree): Promise<Partial<Steps>> =>
    repository === undefined || !isInstalled('restic')
      ? {}
      : { [`restic: ${name}`]: await timed(command, at, resticEnvironment(repository, place)) }
  const edits = planEdits(tree, join(place, 'backup'))
  try {
    const packed = await timed(`tar -cf - . | zstd -3 -T0 -q -f -o ${quote(archive)}`, tree)
    const uploaded = await run('upload', tree)
    const saved = await run('save', tree)
    const prepared = await restic('first save', 'restic init -q')
    const ofRestic = {
      ...prepared,
      ...(await restic('first save', 'restic backup -q --pack-size 8 .')),
    }
    await edits.apply()
    const edited = await run('save', tree)
    Object.assign(ofRestic, await restic('edit save', 'restic backup -q --pack-size 8 .'))
    await edits.undo()
    const again = taskOf('save again', tree, archive)
    const warm = await seen(proxy, () => runCloudChild(again, () => edits.apply().then(() => proxy.reset())))
    const loaded = await run('load', join(place, 'loaded'))
    const downloaded = await run('download', tree, join(place, 'downloaded.tar.zst'))
    mkdirSync(join(place, 'unpacked'))
    const unpacked = await timed(`zstd -d -q -c ../downloaded.tar.zst | tar -xf -`, join(place, 'unpacked'))
    mkdirSync(join(place, 'restored'))
    const restore = 'restic restore -q latest --target .'
    Object.assign(ofRestic, await restic('full load', restore, join(place, 'restored')))
    return { ...ofRestic, archive: packed, upload: uploaded, download: downloaded, unpack: unpacked, 'first save': saved, 'edit save': edited, [WARM_EDIT]: warm, 'full load': loaded } // prettier-ignore
  } finally {
    await edits.undo()
    await proxy.stop()
    rmSync(place, { recursive: true, force: true })
  }
}

async function seen(proxy: FaultProxy, run: () => Promise<CloudFigures>): Promise<Step> {
  proxy.reset()
  const figures = await run()
  const counts = new Map<string, number>()
  let up = 0
  let down = 0
  const answered: { readonly endedMs: number; readonly round: number }[] = []
  for (const { startedMs, endedMs } of proxy.requests) {
    const before = answered.filter((other) => other.endedMs < startedMs).map(({ round }) => round)
    answered.push({ endedMs, round: 1 + Math.max(0, ...before) })
  }
  for (const { method, bytesUp, bytesDown } of proxy.requests) {
    counts.set(method, (counts.get(method) ?? 0) + 1)
    up += bytesUp
    down += bytesDown
  }
  return {
    figures,
    requests: [...counts].map(([method, count]) => `${count} ${method}`).join(', '),
    roundTrips: Math.max(0, ...answered.map(({ round }) => round)),
    megabytesUp: up / 1e6,
    megabytesDown: down / 1e6,
  }
}

function compare(suite: string, service: string, latencyMs: number, steps: Steps): Measurement[] {
  const line = (name: OwnStep, peer: string, value: number, target: number | null): Measurement => ({
    suite,
    name: `${service}, ${latencyMs} ms: ${name}`,
    unit: 'ms',
    ours: steps[name].figures.ms,
    peer: { name: peer, value },
    samples: 1,
    target,
  })
  return [
    line('first save', 'tar + zstd + upload', transferMs(steps).up, TRANSFER_RATIO),
    line('edit save', 'tar + zstd + upload', transferMs(steps).up, EDIT_RATIO),
    line('full load', 'download + zstd + tar', transferMs(steps).down, TRANSFER_RATIO),
    ...OWN_STEPS.flatMap((name) => {
      const peer = steps[`restic: ${name}`]
      return peer === undefined ? [] : [line(name, 'restic', peer.figures.ms, null)]
    }),
    ...(['first save', 'full load'] as const).map((name) => ({
      suite,
      name: `${service}, ${latencyMs} ms: ${name}, peak of the process`,
      unit: 'MB' as const,
      ours: steps[name].figures.megabytes,
      peer: null,
      samples: 1,
      target: MEMORY_TARGET_MB,
    })),
  ]
}

function roundTrips(suite: string, service: string, byLatency: ReadonlyMap<number, Steps>): Measurement {
  const highest = Math.max(...byLatency.keys())
  return {
    suite,
    name: `${service}, ${highest} ms: requests of an edit save, one behind the other`,
    unit: 'calls',
    ours: byLatency.get(highest)?.['edit save'].roundTrips ?? Number.NaN,
    peer: null,
    samples: 1,
    target: ROUND_TRIPS,
  }
}
