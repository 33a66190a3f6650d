import { Bench } from 'tinybench'

/** One line of the report: what ws takes, what a peer takes for the same, and what the ratio should be. */
export interface Measurement {
  readonly suite: string
  readonly name: string
  readonly unit: Unit
  /** Median. */
  readonly ours: number
  readonly peer:
    | { readonly name: string; readonly value: number }
    | { readonly name: string; readonly absent: true }
    | null
  readonly samples: number
  /** Highest acceptable ratio to the peer, or value when there is no peer; null when nothing was promised. */
  readonly target: number | null
}

export type Unit = 'ms' | 'MB' | 'calls'

/** Figures of several tools beside each other, for reading; what was promised is in the measurements. */
export interface ComparisonTable {
  readonly title: string
  readonly head: readonly string[]
  readonly rows: readonly (readonly string[])[]
}

export interface SuiteResult {
  readonly measurements: readonly Measurement[]
  readonly tables?: readonly ComparisonTable[]
}

export interface Suite {
  readonly name: string
  /** Takes so long that it runs only when it is named or everything is asked for. */
  readonly isHeavy?: boolean
  run(context: SuiteContext): Promise<SuiteResult>
}

export interface SuiteContext {
  /** An empty directory of the suite's own, on the file system that is measured. */
  readonly directory: string
  /** Samples of each contender. */
  readonly samples: number
  readonly isQuick: boolean
  /** Whether peers that take long take part too. */
  readonly isFull: boolean
  readonly log: (line: string) => void
}

/** Something to be timed; `prepare` runs before each sample and is not timed. */
export interface Contender {
  readonly prepare?: (() => Promise<void>) | undefined
  readonly run: () => Promise<unknown>
}

/**
 * Medians in milliseconds. The contenders take turns, one sample each, so that whatever slows the machine down slows all
 * of them; the first turn warms up and does not count.
 */
export async function takeTurns<Name extends string>(
  samples: number,
  contenders: Readonly<Record<Name, Contender>>,
): Promise<Record<Name, number>> {
  const names = Object.keys(contenders) as Name[]
  const times = Object.fromEntries(names.map((name) => [name, [] as number[]])) as Record<Name, number[]>
  for (let turn = 0; turn <= samples; turn += 1) {
    // One iteration each: a whole run per contender would favour those that ran before the machine slowed down.
    const bench = new Bench({ iterations: 1, time: 0, warmup: false, throws: true })
    for (const name of names) {
      const { prepare, run } = contenders[name]
      const beforeEach = async (): Promise<void> => {
        await prepare?.()
        globalThis.gc?.()
      }
      bench.add(name, async () => void (await run()), { async: true, beforeEach })
    }
    await bench.run()
    if (turn > 0) for (const name of names) times[name].push(latencyOf(bench, name))
  }
  return Object.fromEntries(names.map((name) => [name, median(times[name])])) as Record<Name, number>
}

function latencyOf(bench: Bench, name: string): number {
  const result = bench.getTask(name)?.result
  if (result?.state !== 'completed') throw new Error(`The contender ${name} did not complete.`)
  return result.latency.p50
}

/** Milliseconds, after a garbage collection where one can be asked for. */
export async function timeOf(run: () => Promise<unknown>): Promise<number> {
  globalThis.gc?.()
  const start = performance.now()
  await run()
  return performance.now() - start
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((left, right) => left - right)
  const middle = sorted.length >> 1
  const upper = sorted[middle] ?? Number.NaN
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2
}

/** The ratio to the peer, or the value itself where a value was promised. */
export function ratioOf({ ours, peer }: Measurement): number | null {
  if (peer === null) return ours
  return 'absent' in peer ? null : ours / peer.value
}
