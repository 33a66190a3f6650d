import { appendFileSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { createBundleStore, Workspace } from '@ws/core'
import { localStore } from '@ws/store-local'
import { countingStore, type StoreCalls } from '../counting-store.ts'
import { takeTurns, type Contender, type Measurement, type Suite, type SuiteContext } from '../measurement.ts'
import { quote, shell } from '../shell.ts'

const FILES = 100

/** Whether a workspace with a long past is as cheap as a new one: after 5,000 versions, and after 100 forks. */
export const versionHistorySuite: Suite = {
  name: 'version-history',
  async run(context) {
    const versions = context.isQuick ? 200 : 5000
    const forks = context.isQuick ? 20 : 100
    return {
      measurements: [...(await measureVersions(context, versions)), ...(await measureForks(context, forks))],
    }
  },
}

async function measureVersions(
  { directory, samples, log }: SuiteContext,
  versions: number,
): Promise<Measurement[]> {
  const place = prepareHistory(join(directory, 'versions'))
  log(`  ${versions} saves`)
  const old = place.tree('old')
  const writer = place.open('old', old, 'none')
  for (let version = 1; version <= versions; version += 1) {
    change(old, version)
    await writer.save('one line more')
  }
  const young = place.tree('young')
  const youngWorkspace = place.open('young', young)
  const oldWorkspace = place.open('old', old)
  await youngWorkspace.save('first')
  await wait(2100)

  let line = 0
  const saver = (tree: string, workspace: Workspace): Contender & { calls(): StoreCalls } => {
    const { run, calls } = place.counted(() => workspace.save('one line more'))
    const prepare = async (): Promise<void> => {
      change(tree, (line += 1))
      await place.sync()
    }
    return { prepare, run, calls }
  }
  const youngSave = saver(young, youngWorkspace)
  const oldSave = saver(old, oldWorkspace)
  const youngLoad = place.loader('young', 1)
  const oldLoad = place.loader('old', undefined)
  const times = await takeTurns(samples, { youngSave, oldSave, youngLoad, oldLoad })

  const show = lineOf(samples)
  const calls = oldSave.calls()
  return [
    show(`save of version ${versions}`, times.oldSave, { name: 'version 2', value: times.youngSave }, 1.1),
    show(`load of version ${versions}`, times.oldLoad, { name: 'version 1', value: times.youngLoad }, 1.1),
    showCalls(`save of version ${versions}: puts`, calls.puts, 3),
    showCalls(`save of version ${versions}: lists`, calls.lists, 1),
    showCalls(`save of version ${versions}: gets`, calls.gets + calls.heads, 0),
    showCalls(`load of version ${versions}: gets`, oldLoad.calls().gets, null),
  ]
}

/** Each workspace is forked from the one before, loaded, changed and saved. */
async function measureForks(
  { directory, samples, log }: SuiteContext,
  forks: number,
): Promise<Measurement[]> {
  const place = prepareHistory(join(directory, 'forks'))
  log(`  a chain of ${forks} forks`)
  const tree = place.tree('tree')
  const first = place.open('fork-0', tree)
  await first.save('first')
  let last = first
  for (let index = 1; index <= forks; index += 1) {
    const id = `fork-${index}`
    await last.fork(id, { path: join(directory, id) })
    // Of the same content, so that the load finds nothing to do.
    last = place.open(id, tree)
    await last.load()
    change(tree, index)
    await last.save('one line more')
  }
  let number = 0
  const forker = (workspace: Workspace): Contender & { calls(): StoreCalls } =>
    place.counted(() => workspace.fork(`extra-${(number += 1)}`))
  const firstFork = forker(first)
  const lastFork = forker(last)
  const firstLoad = place.loader('fork-0', undefined)
  const lastLoad = place.loader(last.id, undefined)
  const times = await takeTurns(samples, { firstFork, lastFork, firstLoad, lastLoad })
  const show = lineOf(samples)
  const { gets, heads, puts, lists } = lastFork.calls()
  return [
    show(`fork of the ${forks}th fork`, times.lastFork, { name: 'the first', value: times.firstFork }, 1.1),
    show(`load of the ${forks}th fork`, times.lastLoad, { name: 'the first', value: times.firstLoad }, 1.1),
    showCalls(`fork of the ${forks}th fork: store calls`, gets + heads + puts + lists, null),
  ]
}

function prepareHistory(directory: string) {
  mkdirSync(directory)
  const root = join(directory, 'store')
  const stateDir = join(directory, 'state')
  const { store, takeCalls } = countingStore(localStore({ root }))
  const durable = createBundleStore(store)
  /** For what is not measured. */
  const fast = createBundleStore(localStore({ root, durability: 'none' }))
  const open = (id: string, path: string, durability: 'fsync' | 'none' = 'fsync'): Workspace =>
    new Workspace({ id, path, store: durability === 'fsync' ? durable : fast, stateDir })
  const sync = (): Promise<void> => shell(`sync -f ${quote(directory)}`, directory)
  const counted = (task: () => Promise<unknown>) => {
    let calls = takeCalls()
    const run = async (): Promise<void> => {
      takeCalls()
      await task()
      calls = takeCalls()
    }
    return { run, calls: () => calls }
  }
  let loads = 0
  return {
    open,
    sync,
    counted,
    tree(name: string): string {
      const tree = join(directory, name)
      writeTree(tree)
      return tree
    },
    /** Loads into a new directory each time. */
    loader(id: string, version: number | undefined): Contender & { calls(): StoreCalls } {
      let destination = ''
      const { run, calls } = counted(() => open(id, destination).load({ version }))
      const prepare = async (): Promise<void> => {
        if (destination !== '') rmSync(destination, { recursive: true })
        destination = join(directory, `loaded-${(loads += 1)}`)
        mkdirSync(destination)
        await sync()
      }
      return { prepare, run, calls }
    },
  }
}

function writeTree(tree: string): void {
  for (let index = 0; index < FILES; index += 1) {
    const folder = join(tree, `part-${index % 10}`)
    mkdirSync(folder, { recursive: true })
    writeFileSync(join(folder, `module-${index}.js`), `export const value${index} = ${index}\n`.repeat(100))
  }
}

function change(tree: string, number: number): void {
  const index = number % FILES
  appendFileSync(join(tree, `part-${index % 10}`, `module-${index}.js`), `// ${number}\n`)
}

function lineOf(samples: number) {
  return (
    name: string,
    ours: number,
    peer: { readonly name: string; readonly value: number },
    target: number,
  ): Measurement => ({ suite: 'version-history', name, unit: 'ms', ours, peer, samples, target })
}

function showCalls(name: string, ours: number, target: number | null): Measurement {
  return { suite: 'version-history', name, unit: 'calls', ours, peer: null, samples: 1, target }
}
