import type { ComparisonTable } from './measurement.ts'
import type { CloudFigures } from './run-cloud-child.ts'

/** What was measured of one step against a service. */
export interface Step {
  readonly figures: CloudFigures
  readonly requests: string
  /** The longest chain of requests, each of which began when the one before had been answered. */
  readonly roundTrips: number
  readonly megabytesUp: number
  readonly megabytesDown: number
}

export const OWN_STEPS = ['first save', 'edit save', 'full load'] as const
/** An edit save in a process that has saved the directory before, as a host does it. */
export const WARM_EDIT = 'edit save, process that saved before'
export type OwnStep = (typeof OWN_STEPS)[number]

export type Steps = Record<'archive' | 'upload' | 'download' | 'unpack' | typeof WARM_EDIT | OwnStep, Step> &
  Partial<Record<`restic: ${OwnStep}`, Step>>

export interface MeasuredSteps {
  readonly service: string
  readonly latencyMs: number
  readonly steps: Steps
}

/** What one would do without versions: pack and upload, download and unpack. */
export function transferMs(steps: Steps): { readonly up: number; readonly down: number } {
  return {
    up: steps.archive.figures.ms + steps.upload.figures.ms,
    down: steps.download.figures.ms + steps.unpack.figures.ms,
  }
}

/** Ours beside the transfer of an archive, and beside restic where it took part. */
export function tabulateRatios(tree: string, all: readonly MeasuredSteps[]): ComparisonTable[] {
  const place = ({ service, latencyMs }: MeasuredSteps): string[] => [service, `${latencyMs} ms`]
  const beside: ComparisonTable = {
    title: `Beside an archive's own transfer: ${tree}`,
    head: ['service', 'latency', ...OWN_STEPS, WARM_EDIT, 'peak of the save', 'peak of the load'],
    rows: all.map((measured) => {
      const { steps } = measured
      const { up, down } = transferMs(steps)
      const ratios = [
        steps['first save'].figures.ms / up,
        steps['edit save'].figures.ms / up,
        steps['full load'].figures.ms / down,
        steps[WARM_EDIT].figures.ms / up,
      ]
      const peaks = [steps['first save'], steps['full load']].map(({ figures }) => figures.megabytes)
      return [
        ...place(measured),
        ...ratios.map((ratio) => `${ratio.toFixed(2)} x`),
        ...peaks.map((megabytes) => `${Math.round(megabytes)} MB`),
      ]
    }),
  }
  const withRestic = all.filter(({ steps }) => steps['restic: first save'] !== undefined)
  if (withRestic.length === 0) return [beside]
  const besideRestic: ComparisonTable = {
    title: `Beside restic on the same server: ${tree}`,
    head: ['service', 'latency', ...OWN_STEPS],
    rows: withRestic.map((measured) => [
      ...place(measured),
      ...OWN_STEPS.map((name) => {
        const ours = measured.steps[name].figures.ms
        const theirs = measured.steps[`restic: ${name}`]?.figures.ms ?? Number.NaN
        return `${Math.round(ours)} ms, ${(ours / theirs).toFixed(2)} x of ${Math.round(theirs)} ms`
      }),
    ]),
  }
  return [beside, besideRestic]
}

/**
 * What an edit save would take that did nothing but wait: its requests one behind the other, each for the latency alone,
 * beside the same transfer. Where that is over the target already, no faster save could meet it.
 */
export function tabulateWaiting(
  tree: string,
  all: readonly MeasuredSteps[],
  target: number,
): ComparisonTable {
  return {
    title: `Edit saves by waiting alone, target ${target} x: ${tree}`,
    head: ['service', 'latency', 'one behind the other', 'waiting', 'transfer', 'ratio', 'can be met'],
    rows: all
      .filter(({ latencyMs }) => latencyMs > 0)
      .map(({ service, latencyMs, steps }) => {
        const { roundTrips } = steps['edit save']
        const waitingMs = roundTrips * latencyMs
        const { up } = transferMs(steps)
        return [
          service,
          `${latencyMs} ms`,
          `${roundTrips}`,
          `${waitingMs} ms`,
          `${Math.round(up)} ms`,
          `${(waitingMs / up).toFixed(2)} x`,
          waitingMs / up <= target ? 'yes' : 'no',
        ]
      }),
  }
}

export function tabulateRequests(tree: string, all: readonly MeasuredSteps[]): ComparisonTable {
  return {
    title: `Requests and bytes: ${tree}`,
    head: [
      'service',
      'latency',
      'step',
      'time',
      'requests',
      'one behind the other',
      'MB up',
      'MB down',
      'peak MB',
    ],
    rows: all.flatMap(describeSteps),
  }
}

function describeSteps({ service, latencyMs, steps }: MeasuredSteps): string[][] {
  const names = ['upload', 'download', ...OWN_STEPS, WARM_EDIT, ...OWN_STEPS.map((name) => `restic: ${name}` as const)] as const // prettier-ignore
  return names.flatMap((name) => {
    const step = steps[name]
    if (step === undefined) return []
    const { figures, requests, roundTrips, megabytesUp, megabytesDown } = step
    const shown = name === 'upload' || name === 'download' ? `the SDK's ${name} of the archive` : name
    return [
      [
        service,
        `${latencyMs} ms`,
        shown,
        `${Math.round(figures.ms)} ms`,
        requests,
        `${roundTrips}`,
        megabytesUp.toFixed(1),
        megabytesDown.toFixed(1),
        figures.megabytes === 0 ? '' : `${Math.round(figures.megabytes)}`,
      ],
    ]
  })
}
