import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import {
  startAzurite,
  startFaultProxy,
  startR2Server,
  startServerProcess,
  type FaultProxy,
} from '@ws/test-servers'
import type { ComparisonTable, Measurement, Suite } from '../measurement.ts'
import { runCloudChild, type CloudConnection, type CloudFigures, type CloudTask } from '../run-cloud-child.ts'
import { buildPackages } from '../run-workspace-child.ts'
import { quote, shell } from '../shell.ts'
import { copyProjectTree } from '../trees/project-tree.ts'
import { planEdits } from '../trees/tree-edits.ts'
import { writeLargeTree, writeSmallTree } from '../trees/workspace-trees.ts'

const LATENCIES_MS = [0, 20, 100] as const
const MEMORY_TARGET_MB = 250
const TRANSFER_RATIO = 1.2
const EDIT_RATIO = 0.15
const ROUND_TRIPS = 4

interface Service {
  readonly name: string
  readonly origin: string
  /** How a client reaches it by another origin. */
  readonly connect: (origin: string) => CloudConnection
  readonly stop: () => Promise<unknown>
}

interface Step {
  readonly figures: CloudFigures
  readonly requests: string
  readonly megabytesUp: number
  readonly megabytesDown: number
}

/**
 * Versions on services on loopback, behind a proxy that adds latency, beside what one would do without: tar, zstd and the
 * SDK's own upload and download of the archive.
 */
export const storesSuite: Suite = {
  name: 'stores',
  isHeavy: true,
  async run({ directory, isQuick, isFull, log }) {
    await buildPackages(log, ['store-s3', 'store-gcs', 'store-azure'])
    const tree = join(directory, 'tree')
    if (isQuick) await writeSmallTree(tree, log)
    else if (isFull) await writeLargeTree(tree, log, 1)
    else await copyProjectTree(tree, log)
    const archive = join(directory, 'archive.tar.zst')
    const measurements: Measurement[] = []
    const rows: string[][] = []
    for (const start of [startS3, startGcs, startAzure]) {
      const service = await start()
      try {
        const byLatency = new Map<number, Record<StepName, Step>>()
        for (const latencyMs of isQuick ? [0, 20] : LATENCIES_MS) {
          log(`  ${service.name}, ${latencyMs} ms ...`)
          const place = join(directory, `${service.name}-${latencyMs}`)
          mkdirSync(place)
          const steps = await measureService(service, latencyMs, { tree, archive, place })
          byLatency.set(latencyMs, steps)
          measurements.push(...compare(service.name, latencyMs, steps))
          rows.push(...describe(service.name, latencyMs, steps))
          rmSync(place, { recursive: true, force: true })
        }
        measurements.push(...roundTrips(service.name, byLatency))
      } finally {
        await service.stop()
      }
    }
    return {
      measurements,
      tables: [tabulate(isQuick ? 'S, 500 files' : isFull ? 'L, 1 GB' : 'M, 13,000 files', rows)],
    }
  },
}

type StepName = 'archive' | 'upload' | 'download' | 'unpack' | 'first save' | 'edit save' | 'full load'

async function measureService(
  service: Service,
  latencyMs: number,
  { tree, archive, place }: { readonly tree: string; readonly archive: string; readonly place: string },
): Promise<Record<StepName, Step>> {
  const proxy = await startFaultProxy({ target: service.origin, latencyMs })
  // Each latency has versions of its own.
  const connection = service.connect(proxy.origin)
  const stateDirectory = join(place, 'state')
  const run = (task: CloudTask['task'], at: string, file = archive): Promise<Step> =>
    seen(proxy, () =>
      runCloudChild({ task, id: `at-${latencyMs}`, connection, directory: at, stateDirectory, file }),
    )
  const timed = (command: string, at: string): Promise<Step> =>
    seen(proxy, async () => {
      const start = performance.now()
      await shell(command, at)
      return { ms: performance.now() - start, megabytes: 0 }
    })
  const edits = planEdits(tree, join(place, 'backup'))
  try {
    const packed = await timed(`tar -cf - . | zstd -3 -T0 -q -f -o ${quote(archive)}`, tree)
    const uploaded = await run('upload', tree)
    const saved = await run('save', tree)
    await edits.apply()
    const edited = await run('save', tree)
    const loaded = await run('load', join(place, 'loaded'))
    const downloaded = await run('download', tree, join(place, 'downloaded.tar.zst'))
    mkdirSync(join(place, 'unpacked'))
    const unpacked = await timed(`zstd -d -q -c ../downloaded.tar.zst | tar -xf -`, join(place, 'unpacked'))
    return { archive: packed, upload: uploaded, download: downloaded, unpack: unpacked, 'first save': saved, 'edit save': edited, 'full load': loaded } // prettier-ignore
  } finally {
    await edits.undo()
    await proxy.stop()
  }
}

async function seen(proxy: FaultProxy, run: () => Promise<CloudFigures>): Promise<Step> {
  proxy.reset()
  const figures = await run()
  const counts = new Map<string, number>()
  let up = 0
  let down = 0
  for (const { method, bytesUp, bytesDown } of proxy.requests) {
    counts.set(method, (counts.get(method) ?? 0) + 1)
    up += bytesUp
    down += bytesDown
  }
  return {
    figures,
    requests: [...counts].map(([method, count]) => `${count} ${method}`).join(', '),
    megabytesUp: up / 1e6,
    megabytesDown: down / 1e6,
  }
}

function compare(service: string, latencyMs: number, steps: Record<StepName, Step>): Measurement[] {
  const ms = (...names: readonly StepName[]): number =>
    names.reduce((sum, name) => sum + steps[name].figures.ms, 0)
  const line = (name: StepName, peer: string, value: number, target: number): Measurement => ({
    suite: 'stores',
    name: `${service}, ${latencyMs} ms: ${name}`,
    unit: 'ms',
    ours: ms(name),
    peer: { name: peer, value },
    samples: 1,
    target,
  })
  return [
    line('first save', 'tar + zstd + upload', ms('archive', 'upload'), TRANSFER_RATIO),
    line('edit save', 'tar + zstd + upload', ms('archive', 'upload'), EDIT_RATIO),
    line('full load', 'download + zstd + tar', ms('download', 'unpack'), TRANSFER_RATIO),
    ...(['first save', 'full load'] as const).map((name) => ({
      suite: 'stores',
      name: `${service}, ${latencyMs} ms: ${name}, peak of the process`,
      unit: 'MB' as const,
      ours: steps[name].figures.megabytes,
      peer: null,
      samples: 1,
      target: MEMORY_TARGET_MB,
    })),
  ]
}

/** What waits for each other shows in how the time grows with the latency. */
function roundTrips(service: string, byLatency: ReadonlyMap<number, Record<StepName, Step>>): Measurement[] {
  const latencies = [...byLatency.keys()].toSorted((left, right) => left - right)
  const [low = 0, high = 0] = [latencies[0], latencies.at(-1)]
  const ms = (latency: number): number => byLatency.get(latency)?.['edit save'].figures.ms ?? Number.NaN
  return [
    {
      suite: 'stores',
      name: `${service}: round trips of an edit save, one behind the other`,
      unit: 'calls',
      ours: Math.round(((ms(high) - ms(low)) / (high - low)) * 10) / 10,
      peer: null,
      samples: 1,
      target: ROUND_TRIPS,
    },
  ]
}

function describe(service: string, latencyMs: number, steps: Record<StepName, Step>): string[][] {
  const names: readonly StepName[] = ['upload', 'download', 'first save', 'edit save', 'full load']
  return names.map((name) => {
    const { figures, requests, megabytesUp, megabytesDown } = steps[name]
    const shown = name === 'upload' || name === 'download' ? `the SDK's ${name} of the archive` : name
    return [
      service,
      `${latencyMs} ms`,
      shown,
      `${Math.round(figures.ms)} ms`,
      requests,
      megabytesUp.toFixed(1),
      megabytesDown.toFixed(1),
      `${Math.round(figures.megabytes)}`,
    ]
  })
}

function tabulate(tree: string, rows: readonly (readonly string[])[]): ComparisonTable {
  return {
    title: `Requests and bytes on services on loopback: ${tree}`,
    head: ['service', 'latency', 'step', 'time', 'requests', 'MB up', 'MB down', 'peak MB'],
    rows,
  }
}

async function startS3(): Promise<Service> {
  const server = await startR2Server()
  const endpoint = server.clientConfig.endpoint ?? ''
  const { origin, pathname } = new URL(endpoint)
  return {
    name: 'S3 (R2)',
    origin,
    connect: (through) => ({ kind: 's3', bucket: server.bucket, clientConfig: { ...server.clientConfig, endpoint: `${through}${pathname}` } }), // prettier-ignore
    stop: () => server.stop(),
  }
}

async function startGcs(): Promise<Service> {
  const server = await startServerProcess('gcs')
  return {
    name: 'Google Cloud Storage',
    origin: server.url,
    connect: (through) => ({ kind: 'gcs', url: through }),
    stop: () => server.stop(),
  }
}

async function startAzure(): Promise<Service> {
  const server = await startAzurite()
  const { url, account, accountKey } = server
  const { ContainerClient, StorageSharedKeyCredential } = await import('@azure/storage-blob')
  await new ContainerClient(`${url}/bench`, new StorageSharedKeyCredential(account, accountKey)).create()
  const { origin, pathname } = new URL(url)
  return {
    name: 'Azure (azurite)',
    origin,
    connect: (through) => ({ kind: 'azure', url: `${through}${pathname}/bench`, account, accountKey }),
    stop: () => server.stop(),
  }
}
