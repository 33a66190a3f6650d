import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { WorkspaceError } from '../../../errors.ts'
import { fromBytePath, pathResolver, splitRecords, type BytePath } from '../../byte-path.ts'
import { runGit } from '../private/git-command.ts'
import { findDamagedPacks } from '../private/explain-loss.ts'
import { lstatIfAllowed } from '../table/file-stamp.ts'
import { objectSizes } from '../private/object-sizes.ts'
import {
  DISTRUSTED,
  objectId,
  privateCall,
  writeObject,
  type PrivateRepository,
} from '../private/private-repository.ts'
import type { GitWorkspace } from '../capture/read-contents.ts'
import { salvageObjects } from '../private/salvage-objects.ts'
import { parseRef } from '../private/sidecar.ts'
import { readSnapshotLog, type LoggedSnapshot } from '../private/snapshot-log.ts'

/** JSON-safe. */
interface Healing {
  /** Packs that something else had written to; they are used no more. */
  readonly packs: readonly string[]
  /** Paths whose content is gone for good, in some of the snapshots. */
  readonly lost: readonly string[]
  /** Ids of those snapshots. */
  readonly snapshots: readonly string[]
}

const MAX_ROUNDS = 64
const MAX_READ_BYTES = 512 * 1024 * 1024

/**
 * Repairs the private repository after something wrote to one of its packs, which may be a hard link to the user's. The
 * pack is taken out of use; what snapshots need of it is stored anew from what can still be read of it, from the user's
 * repository, or from files that are as they were. Call it under the workspace's lock.
 * @returns `null` when no pack is damaged
 */
async function healStore(workspace: GitWorkspace, signal?: AbortSignal): Promise<Healing | null> {
  const { own, user } = workspace
  const packs = await findDamagedPacks(own)
  if (packs.length === 0) return null
  const aside = join(own.directory, 'damaged')
  takeAside(own, packs, aside)
  const snapshots = readSnapshotLog(own)
  const trees = new Set(snapshots.map(treeOf))
  const lostObjects = new Set<string>()
  // Trees that come back may need more; each round goes one level deeper at least.
  for (let round = 0; round < MAX_ROUNDS; round += 1) {
    const missing = await findMissing(own, trees, signal)
    for (const id of lostObjects) missing.delete(id)
    if (missing.size === 0) break
    const saved = await salvageObjects(own, missing, [aside, user.objectsDirectory], signal)
    for (const id of await rereadFiles(workspace, missing, saved)) saved.add(id)
    for (const id of missing) if (!saved.has(id)) lostObjects.add(id)
  }
  rmSync(aside, { recursive: true, force: true })
  return { packs, ...(await findLosses(workspace, snapshots, lostObjects, signal)) }
}

function treeOf({ ref }: LoggedSnapshot): string {
  return parseRef(ref)?.tree ?? ref
}

function takeAside(own: PrivateRepository, packs: readonly string[], aside: string): void {
  mkdirSync(join(aside, 'pack'), { recursive: true, mode: 0o700 })
  mkdirSync(join(own.directory, DISTRUSTED), { recursive: true, mode: 0o700 })
  for (const pack of packs) {
    // Not to be linked again from the user's repository.
    writeFileSync(join(own.directory, DISTRUSTED, pack), '')
    for (const name of [pack.replace(/\.pack$/, '.idx'), pack]) {
      const from = join(own.directory, 'objects', 'pack', name)
      if (existsSync(from)) renameSync(from, join(aside, 'pack', name))
    }
  }
}

/** What snapshots need and the private repository has not, as far down as its trees can be read. */
async function findMissing(
  own: PrivateRepository,
  trees: ReadonlySet<string>,
  signal: AbortSignal | undefined,
): Promise<Set<string>> {
  const sizes = await objectSizes(own, trees, { signal })
  const missing = new Set([...trees].filter((tree) => !sizes.has(tree)))
  const present = [...trees].filter((tree) => sizes.has(tree))
  if (present.length === 0) return missing
  const call = privateCall(
    own,
    ['rev-list', '--objects', '--missing=print', '--no-object-names', '--stdin'],
    {
      input: Buffer.from(`${present.join('\n')}\n`),
      signal,
    },
  )
  for (const line of (await runGit(call)).toString('latin1').split('\n'))
    if (line.startsWith('?')) missing.add(line.slice(1))
  return missing
}

/** Content that is on the disk as it was captured. */
async function rereadFiles(
  { path: root, own, stateFile }: GitWorkspace,
  missing: ReadonlySet<string>,
  saved: ReadonlySet<string>,
): Promise<Set<string>> {
  const found = new Set<string>()
  const resolve = pathResolver(root)
  for (const [path, { id }] of stateFile.load()?.entries ?? []) {
    if (!missing.has(id) || saved.has(id) || found.has(id)) continue
    const stats = lstatIfAllowed(resolve(path))
    if (stats === null || stats === 'denied' || !stats.isFile() || stats.size > MAX_READ_BYTES) continue
    const content = readFileSync(resolve(path))
    if (objectId(own, 'blob', content) !== id) continue
    writeObject(own, 'blob', id, content)
    found.add(id)
  }
  return found
}

async function findLosses(
  { own }: GitWorkspace,
  snapshots: readonly LoggedSnapshot[],
  lostObjects: ReadonlySet<string>,
  signal: AbortSignal | undefined,
): Promise<Pick<Healing, 'lost' | 'snapshots'>> {
  if (lostObjects.size === 0) return { lost: [], snapshots: [] }
  // What the next capture builds on may be among it: that one reads everything from the disk.
  rmSync(join(own.directory, 'state'), { force: true })
  const lost = new Set<BytePath>()
  const damagedTrees = new Set<string>()
  for (const tree of new Set(snapshots.map(treeOf))) {
    const paths = await lostPaths(own, tree, lostObjects, signal)
    if (paths.length > 0) damagedTrees.add(tree)
    for (const path of paths) lost.add(path)
  }
  const damaged = snapshots.filter((snapshot) => damagedTrees.has(treeOf(snapshot)))
  return { lost: [...lost].sort().map(fromBytePath), snapshots: damaged.map(({ id }) => id) }
}

/** A directory whose tree is lost stands for all that was in it. */
async function lostPaths(
  own: PrivateRepository,
  tree: string,
  lostObjects: ReadonlySet<string>,
  signal: AbortSignal | undefined,
): Promise<BytePath[]> {
  if (lostObjects.has(tree)) return ['']
  try {
    const whole = privateCall(own, ['ls-tree', '-r', '-z', tree], { signal })
    return splitRecords(await runGit(whole))
      .filter((record) => lostObjects.has(record.slice(0, record.indexOf('\t')).split(' ')[2] ?? ''))
      .map((record) => record.slice(record.indexOf('\t') + 1))
  } catch (error) {
    // One of its directories is lost.
    if (!WorkspaceError.is(error, 'UNAVAILABLE')) throw error
  }
  const lost: BytePath[] = []
  const below: { readonly tree: string; readonly prefix: BytePath }[] = [{ tree, prefix: '' }]
  for (let next = below.pop(); next !== undefined; next = below.pop()) {
    const call = privateCall(own, ['ls-tree', '-z', next.tree], { signal })
    for (const record of splitRecords(await runGit(call))) {
      const end = record.indexOf('\t')
      const [, type = '', id = ''] = record.slice(0, end).split(' ')
      const path = next.prefix + record.slice(end + 1)
      if (lostObjects.has(id)) lost.push(path)
      else if (type === 'tree') below.push({ tree: id, prefix: `${path}/` })
    }
  }
  return lost
}

/** Whether an error may come from damage to what is stored. */
export function isDamage(error: unknown): error is WorkspaceError {
  return WorkspaceError.is(error, 'UNAVAILABLE') || WorkspaceError.is(error, 'CORRUPT')
}

/** Does work again when it failed because of damage that could be repaired. Call it under the workspace's lock. */
export async function withHealing<T>(
  workspace: GitWorkspace,
  work: () => Promise<T>,
  onHealed: (note: string) => void,
): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (!isDamage(error)) throw error
    const healing = await healStore(workspace)
    if (healing === null) throw error
    if (healing.lost.length > 0) throw lossOf(healing, error)
    onHealed(
      `Something had written to ${healing.packs.join(', ')} in the private store. All that snapshots need of it was stored anew.`,
    )
    return work()
  }
}

function lossOf({ packs, lost, snapshots }: Healing, error: WorkspaceError): WorkspaceError {
  const names = lost.slice(0, 5).map((path) => (path === '' ? 'everything' : JSON.stringify(path)))
  const more = lost.length > names.length ? ` and ${lost.length - names.length} more` : ''
  return new WorkspaceError(
    'CORRUPT',
    `Something had written to ${packs.join(', ')} in the private store. All that could be read was stored anew; lost is the content of ${names.join(', ')}${more} in ${snapshots.length} snapshots (see details). The other paths can be rolled back with the option paths.`,
    { cause: error, details: { ...error.details, packs, lost, snapshots } },
  )
}
