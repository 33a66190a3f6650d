import { join } from 'node:path'
import { peerTools, TAR_ZSTD, type BackupTool } from '../backup-tools.ts'
import { leastWork } from '../least-work/least-work.ts'
import type { ComparisonTable, Measurement, Suite, SuiteContext } from '../measurement.ts'
import { formatFigure } from '../report.ts'
import { isInstalled } from '../shell.ts'
import { copyProjectTree } from '../trees/project-tree.ts'
import { writeLargeTree, writeSmallTree } from '../trees/workspace-trees.ts'
import { BARE_WALK, measureRounds, type RoundFigures, type TimedStep } from '../version-rounds.ts'
import { warmWorkspace } from '../workspace-tools.ts'

interface LimitedTree {
  readonly suite: string
  readonly name: string
  readonly rounds: number
  readonly peers: readonly string[]
  /** What was promised, or has an obvious yardstick: the highest acceptable ratio to the peer. */
  readonly promises: readonly (readonly [step: TimedStep, peer: string, target: number | null])[]
  writeTree(tree: string, context: SuiteContext): Promise<void>
}

const ZPAQ = 'zpaq -m1'

const trees: readonly LimitedTree[] = [
  {
    suite: 'limits-small',
    name: 'S',
    rounds: 7,
    peers: [TAR_ZSTD],
    promises: [
      ['first save', TAR_ZSTD, 1.2],
      ['unchanged', BARE_WALK, 1.5],
      ['restore', TAR_ZSTD, null],
      ['load of 10 files', BARE_WALK, 2],
    ],
    writeTree: (tree, { log }) => writeSmallTree(tree, log),
  },
  {
    suite: 'limits-project',
    name: 'M',
    rounds: 5,
    peers: [TAR_ZSTD, 'restic', ZPAQ],
    promises: [
      ['first save', TAR_ZSTD, 1.2],
      ['first save', 'restic', 0.3],
      ['unchanged', BARE_WALK, 1.5],
      ['edits', ZPAQ, 0.4],
      ['restore', TAR_ZSTD, 0.7],
      ['load of 10 files', BARE_WALK, 2],
    ],
    writeTree: (tree, { log }) => copyProjectTree(tree, log),
  },
  {
    suite: 'limits-large',
    name: 'L',
    rounds: 3,
    peers: [TAR_ZSTD, 'restic'],
    promises: [
      ['first save', TAR_ZSTD, 0.95],
      ['first save', 'restic', 0.3],
      ['unchanged', BARE_WALK, 1.5],
      ['edits', 'restic', 0.25],
      ['restore', TAR_ZSTD, 0.6],
      ['load of 10 files', BARE_WALK, 2],
    ],
    writeTree: (tree, { log, isQuick }) => writeLargeTree(tree, log, isQuick ? 0.1 : 1),
  },
]

/** How near saves and loads are to the least work that ends with the same, and how near that is to what was promised. */
export const limitsSuites: readonly Suite[] = trees.map((limited) => ({
  name: limited.suite,
  isHeavy: true,
  async run(context) {
    const { directory, isQuick, log } = context
    const tree = join(directory, 'tree')
    await limited.writeTree(tree, context)
    const tools = [warmWorkspace, leastWork, ...peersOf(limited)]
    const rounds = isQuick ? 1 : limited.rounds
    const figures = await measureRounds({ directory, tree, tools, rounds, log })
    const steps = [...new Set(limited.promises.map(([step]) => step))]
    return {
      measurements: steps.map((step) => beside(limited, step, figures, rounds)),
      tables: [tabulate(limited, tools, figures)],
    }
  },
}))

function peersOf({ peers }: LimitedTree): readonly BackupTool[] {
  return peerTools.filter(({ name, programs }) => peers.includes(name) && isInstalled(...programs))
}

function beside(
  { suite, name }: LimitedTree,
  step: TimedStep,
  figures: RoundFigures,
  samples: number,
): Measurement {
  return {
    suite,
    name: `${name}, ${wordsOf(step)}`,
    unit: 'ms',
    ours: figures.ms(step, warmWorkspace.name),
    peer: { name: leastWork.name, value: figures.ms(step, leastWork.name) },
    samples,
    target: null,
  }
}

function row(
  { name }: LimitedTree,
  [step, peer, target]: LimitedTree['promises'][number],
  tools: readonly BackupTool[],
  figures: RoundFigures,
): string[] {
  const ours = figures.ms(step, warmWorkspace.name)
  const least = figures.ms(step, leastWork.name)
  const isThere = peer === BARE_WALK || tools.some((tool) => tool.name === peer)
  const theirs = isThere ? figures.ms(step, peer) : Number.NaN
  const times = (ratio: number): string => (Number.isNaN(ratio) ? '' : `${ratio.toFixed(2)} x`)
  return [
    `${name}, ${wordsOf(step)}`,
    formatFigure(ours, 'ms'),
    formatFigure(least, 'ms'),
    `${peer === TAR_ZSTD && step === 'restore' ? 'zstd -d | tar -x' : peer}: ${isThere ? formatFigure(theirs, 'ms') : 'absent'}`,
    target === null ? '' : `<= ${target} x`,
    times(ours / theirs),
    times(least / theirs),
    times(ours / least),
  ]
}

function tabulate(
  limited: LimitedTree,
  tools: readonly BackupTool[],
  figures: RoundFigures,
): ComparisonTable {
  const title = `${limited.name}: the least work in Node, in two threads, beside ws and what was promised`
  const head = ['what', 'ws', 'least in Node', 'peer', 'target', 'ws / peer', 'least / peer', 'ws / least']
  return { title, head, rows: limited.promises.map((promise) => row(limited, promise, tools, figures)) }
}

function wordsOf(step: TimedStep): string {
  const words: Partial<Record<TimedStep, string>> = {
    unchanged: 'save, nothing changed',
    edits: 'save after 10 edits and a 1 MB append',
    restore: 'load into an empty directory',
    'load of 10 files': 'load over 10 changed files',
  }
  return words[step] ?? step
}
