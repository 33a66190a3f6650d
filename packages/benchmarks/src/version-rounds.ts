import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import type { BackupRepository, BackupTool } from './backup-tools.ts'
import { median, timeOf } from './measurement.ts'
import { quote, shell } from './shell.ts'
import { chooseFiles, editFiles, planEdits } from './trees/tree-edits.ts'
import { walkTree } from './walk-tree.ts'
import { warmWorkspace } from './workspace-tools.ts'

export type TimedStep = 'first save' | 'unchanged' | 'edits' | 'shift' | 'restore' | 'load of 10 files'
type StoredStep = 'first save' | 'edits' | 'shift'

/** Samples by step and tool. */
export interface RoundFigures {
  ms(step: TimedStep, tool: string): number
  /** Megabytes that a step added to the repository. */
  stored(step: StoredStep, tool: string): number
}

export interface RoundOptions {
  readonly directory: string
  readonly tree: string
  readonly tools: readonly BackupTool[]
  readonly rounds: number
  readonly log: (line: string) => void
}

/** The name under which a bare walk of the tree is timed beside the tools. */
export const BARE_WALK = 'readdir and lstat of all'
/** Files written less than two seconds ago are read again by the next save; what is measured is the state after that. */
const SETTLE_MS = 2100

interface OpenTool {
  readonly tool: BackupTool
  readonly repository: BackupRepository
}

/**
 * Takes every tool through the life of a workspace, several times, each time with new repositories. Within a step the
 * tools take turns, and the file system is synced before each. A round of ours alone goes first, warms up, and proves
 * that what is restored is what was saved.
 */
export async function measureRounds(options: RoundOptions): Promise<RoundFigures> {
  const times = new Map<string, number[]>()
  const sizes = new Map<string, number[]>()
  const noteIn =
    (into: Map<string, number[]>): Note =>
    (step, tool, value) => {
      const key = `${step} of ${tool}`
      into.set(key, [...(into.get(key) ?? []), value])
    }
  const ignore: Note = () => {}
  const { directory, tree, tools, rounds, log } = options
  const place = join(directory, 'round')
  for (let round = 0; round <= rounds; round += 1) {
    const isWarmUp = round === 0
    log(isWarmUp ? '  warm-up' : `  round ${round} of ${rounds}`)
    mkdirSync(place)
    await measureRound(
      { directory: place, tree, tools: isWarmUp ? [warmWorkspace] : tools, isProof: isWarmUp },
      isWarmUp ? ignore : noteIn(times),
      isWarmUp ? ignore : noteIn(sizes),
    )
    rmSync(place, { recursive: true })
  }
  return {
    ms: (step, tool) => median(times.get(`${step} of ${tool}`) ?? []),
    stored: (step, tool) => median(sizes.get(`${step} of ${tool}`) ?? []),
  }
}

type Note = (step: TimedStep, tool: string, value: number) => void

interface Round {
  readonly directory: string
  readonly tree: string
  readonly tools: readonly BackupTool[]
  readonly isProof: boolean
}

async function measureRound(
  { directory, tree, tools, isProof }: Round,
  noteTime: Note,
  noteSize: Note,
): Promise<void> {
  const open: OpenTool[] = []
  for (const [index, tool] of tools.entries()) {
    const place = join(directory, `tool-${index}`)
    mkdirSync(place)
    const repository = tool.open(place)
    await repository.initialize()
    open.push({ tool, repository })
  }
  const incremental = open.filter(({ tool }) => tool.isIncremental)
  const time = async (step: TimedStep, name: string, run: () => Promise<unknown>): Promise<void> => {
    await shell(`sync -f ${quote(directory)}`, directory)
    noteTime(step, name, await timeOf(run))
  }
  const save = async (step: TimedStep & StoredStep, taking: readonly OpenTool[]): Promise<void> => {
    for (const { tool, repository } of taking) {
      const before = step === 'first save' ? 0 : repository.storedMegabytes()
      await time(step, tool.name, () => repository.save(tree))
      noteSize(step, tool.name, repository.storedMegabytes() - before)
    }
  }
  const edits = planEdits(tree, join(directory, 'backup'))

  await wait(SETTLE_MS)
  await save('first save', open)
  await time('unchanged', BARE_WALK, async () => walkTree(tree))
  for (const { tool, repository } of incremental)
    await time('unchanged', tool.name, () => repository.save(tree))
  await edits.apply()
  await save('edits', incremental)
  await edits.shift()
  await save('shift', incremental)
  // What keeps no versions holds the first state; it is to restore what the others do.
  for (const { tool, repository } of open) if (!tool.isIncremental) await repository.save(tree)

  for (const [index, { tool, repository }] of open.entries()) {
    const destination = join(directory, `restored-${index}`)
    mkdirSync(destination)
    await time('restore', tool.name, () => repository.restore(destination))
    if (tool === warmWorkspace && isProof)
      await shell(`diff -r --no-dereference ${quote(tree)} ${quote(destination)}`, directory)
    if (tool.loadsOver === true) await measureLoad(destination, { tool, repository }, time)
    await shell(`rm -r ${quote(destination)}`, directory)
  }
  await edits.undo()
}

/** Brings a directory that differs from a version in ten files back to it. */
async function measureLoad(
  destination: string,
  { tool, repository }: OpenTool,
  time: (step: TimedStep, name: string, run: () => Promise<unknown>) => Promise<void>,
): Promise<void> {
  await wait(SETTLE_MS)
  await repository.restore(destination)
  const { small } = chooseFiles(destination)
  editFiles(small)
  if (tool === warmWorkspace) await time('load of 10 files', BARE_WALK, async () => walkTree(destination))
  await time('load of 10 files', tool.name, () => repository.restore(destination))
}
