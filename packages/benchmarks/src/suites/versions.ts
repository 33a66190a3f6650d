import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { peerTools, TAR_ZSTD, type BackupTool } from '../backup-tools.ts'
import { measureEventLoop } from '../event-loop.ts'
import type { ComparisonTable, Measurement, Suite, SuiteContext } from '../measurement.ts'
import { formatFigure } from '../report.ts'
import { isInstalled } from '../shell.ts'
import { writeLargeTree, writeManyFiles, writeSmallTree } from '../trees/workspace-trees.ts'
import { copyProjectTree } from '../trees/project-tree.ts'
import { BARE_WALK, measureRounds, type RoundFigures } from '../version-rounds.ts'
import { coldWorkspace, warmWorkspace } from '../workspace-tools.ts'

interface VersionsPlan {
  readonly name: string
  readonly title: string
  readonly isHeavy?: boolean
  readonly rounds: number
  /** Whether the extra peers take part in a run that is not a full one. */
  readonly withExtraPeers: boolean
  readonly measuresEventLoop?: boolean
  /** Highest acceptable ratios; what is left out is shown without one. */
  readonly targets: {
    readonly firstSave?: number
    readonly edits?: { readonly peer: string; readonly ratio: number }
    readonly restore?: number
  }
  writeTree(tree: string, context: SuiteContext): Promise<void>
}

/** Bundle versions of a small, a middling and a large workspace beside tools that keep versions or archives. */
export const smallVersionsSuite = versionsSuite({
  name: 'versions-small',
  title: 'S: 500 source files, 5 MB',
  rounds: 5,
  withExtraPeers: true,
  targets: { firstSave: 1.2 },
  writeTree: (tree, { log }) => writeSmallTree(tree, log),
})

export const projectVersionsSuite = versionsSuite({
  name: 'versions-project',
  title: 'M: a JavaScript project with its node_modules, 13,000 files',
  rounds: 5,
  withExtraPeers: true,
  measuresEventLoop: true,
  targets: { firstSave: 1.2, edits: { peer: 'zpaq -m1', ratio: 0.4 }, restore: 0.7 },
  writeTree: (tree, { log }) => copyProjectTree(tree, log),
})

export const largeVersionsSuite = versionsSuite({
  name: 'versions-large',
  title: 'L: M and 820 MB of big files',
  rounds: 3,
  withExtraPeers: false,
  targets: { firstSave: 0.95, edits: { peer: 'restic', ratio: 0.25 }, restore: 0.6 },
  writeTree: (tree, { log, isQuick }) => writeLargeTree(tree, log, isQuick ? 0.1 : 1),
})

export const manyVersionsSuite = versionsSuite({
  name: 'versions-many',
  title: '200,000 small files',
  isHeavy: true,
  rounds: 2,
  withExtraPeers: false,
  targets: {},
  writeTree: async (tree, { isQuick }) => writeManyFiles(tree, isQuick ? 10_000 : 200_000),
})

function versionsSuite(plan: VersionsPlan): Suite {
  return {
    name: plan.name,
    ...(plan.isHeavy === true && { isHeavy: true }),
    async run(context) {
      const { directory, isQuick, isFull, log } = context
      const tree = join(directory, 'tree')
      await plan.writeTree(tree, context)
      const wanted = peerTools.filter(({ isExtra }) => plan.withExtraPeers || isFull || !isExtra)
      const present = wanted.filter(({ programs }) => isInstalled(...programs))
      const tools = [warmWorkspace, coldWorkspace, ...present]
      const rounds = isQuick ? 1 : plan.rounds
      const figures = await measureRounds({ directory, tree, tools, rounds, log })
      const measurements = compare(plan, wanted, present, figures, rounds)
      if (plan.measuresEventLoop === true) {
        const place = join(directory, 'event-loop')
        mkdirSync(place)
        measurements.push(...(await measureEventLoop(plan.name, place, tree, rounds)))
      }
      return { measurements, tables: [tabulate(plan, tools, wanted, figures)] }
    },
  }
}

function compare(
  { name: suite, targets }: VersionsPlan,
  wanted: readonly BackupTool[],
  present: readonly BackupTool[],
  figures: RoundFigures,
  samples: number,
): Measurement[] {
  const ours = warmWorkspace.name
  const line = (
    name: string,
    unit: Measurement['unit'],
    valueOf: (tool: string) => number,
    peer: string,
    target: number | undefined,
    peerName = peer,
  ): Measurement => ({
    suite,
    name,
    unit,
    ours: valueOf(ours),
    peer:
      peer === BARE_WALK || present.some((tool) => tool.name === peer)
        ? { name: peerName, value: valueOf(peer) }
        : { name: peerName, absent: true },
    samples,
    target: target ?? null,
  })
  const first = (tool: string): number => figures.ms('first save', tool)
  const edits = (tool: string): number => figures.ms('edits', tool)
  const least = (valueOf: (tool: string) => number): string => {
    const candidates = present.filter(({ deduplicates }) => deduplicates).map(({ name }) => name)
    return candidates.toSorted((left, right) => valueOf(left) - valueOf(right))[0] ?? 'restic'
  }
  const storedFirst = (tool: string): number => figures.stored('first save', tool)
  const storedEdits = (tool: string): number => figures.stored('edits', tool)
  const storedShift = (tool: string): number => figures.stored('shift', tool)
  const promised = targets.edits?.peer ?? 'zpaq -m1'
  const editPeer = wanted.some(({ name }) => name === promised) ? promised : 'restic'
  return [
    line('first save', 'ms', first, TAR_ZSTD, targets.firstSave),
    line('first save', 'ms', first, 'restic', 0.3),
    line('save, nothing changed', 'ms', (tool) => figures.ms('unchanged', tool), BARE_WALK, 1.5),
    line('save after 10 edits and a 1 MB append', 'ms', edits, editPeer, targets.edits?.ratio),
    line('stored by the first save', 'MB', storedFirst, least(storedFirst), undefined),
    line('stored by the edits', 'MB', storedEdits, least(storedEdits), 1.1),
    line('stored by a byte in front of a big file', 'MB', storedShift, least(storedShift), undefined),
    line(
      'load into an empty directory',
      'ms',
      (tool) => figures.ms('restore', tool),
      TAR_ZSTD,
      targets.restore,
      'zstd -d | tar -x',
    ),
    line(
      'load over a directory that differs in 10 files',
      'ms',
      (tool) => figures.ms('load of 10 files', tool),
      BARE_WALK,
      2,
    ),
  ]
}

function tabulate(
  { title }: VersionsPlan,
  tools: readonly BackupTool[],
  wanted: readonly BackupTool[],
  figures: RoundFigures,
): ComparisonTable {
  const head = [
    'tool',
    'first save',
    'unchanged',
    'edits',
    'byte in front',
    'restore',
    'stored first',
    'by edits',
    'by the byte',
  ]
  const rows = tools.map(({ name, isIncremental }) => {
    const again = (show: () => string): string => (isIncremental ? show() : 'as first')
    const ms = (step: Parameters<RoundFigures['ms']>[0]): string => formatFigure(figures.ms(step, name), 'ms')
    const megabytes = (step: Parameters<RoundFigures['stored']>[0]): string =>
      formatFigure(figures.stored(step, name), 'MB')
    return [
      name,
      ms('first save'),
      again(() => ms('unchanged')),
      again(() => ms('edits')),
      again(() => ms('shift')),
      ms('restore'),
      megabytes('first save'),
      again(() => megabytes('edits')),
      again(() => megabytes('shift')),
    ]
  })
  const absent = wanted.filter((tool) => !tools.includes(tool))
  return {
    title,
    head,
    rows: [...rows, ...absent.map(({ name }) => [name, 'absent', ...head.slice(2).map(() => '')])],
  }
}
