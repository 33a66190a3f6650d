import { WorkspaceError } from '../../../errors.ts'
import { timeSlice } from '../../../filesystem/time-slice.ts'
import type { ObjectStore } from '../../../store/object-store.ts'
import { pathText } from '../../../filesystem/path-text.ts'
import type { ContentId } from '../../format/content-id.ts'
import type { PackReference, VersionRecord, VersionReference } from '../../format/version-record.ts'
import { createChunkLocator, type ChunkLocator } from '../read/chunk-locator.ts'
import { createContentPacker, type ContentPacker } from '../repository/content-packer.ts'
import {
  findInCache,
  findInDirectory,
  findInPacks,
  listNamedPacks,
  type ChunkUse,
  type TakeChunk,
} from './find-chunks.ts'
import type { LoadLimits } from '../../bundle.ts'
import { leasePacks, packsGone } from '../repository/pack-safety.ts'
import { createChunkReader } from '../read/read-chunk.ts'
import { rootOf } from '../read/read-tree.ts'
import { putRepair } from '../repository/repairs.ts'
import type { Repository } from '../repository/repository.ts'
import { childOf, createTreeReader, type TreeDirectory } from '../read/tree-reader.ts'

export interface RepairOptions {
  /** Only look where the lost content could come from; nothing is written. @default false */
  readonly dryRun?: boolean | undefined
  /** A directory that may hold files of the version, as the one it was saved from. It is only read. @default none */
  readonly directory?: string | undefined
  /** What saves and loads have noted of the directory (their `cacheDirectory`); directory listings can come from it. @default none */
  readonly cacheDirectory?: string | undefined
  /** Stores that hold copies of the repository, under the same prefix and with the same key. They are only read. @default none */
  readonly stores?: readonly ObjectStore[] | undefined
}

/** JSON-safe. What a repair found and did. */
export interface VersionRepair {
  readonly dryRun: boolean
  readonly version: VersionReference
  /** Pieces of content that were found elsewhere and are stored anew (with `dryRun`: would be). */
  readonly chunks: number
  readonly bytes: number
  /** Where they were found, in pieces. */
  readonly sources: { readonly packs: number; readonly directory: number; readonly stores: number }
  /** Keys of the packs that were written. */
  readonly packs: readonly string[]
  /** Files that stay damaged, by path; a directory stands for all that it holds. */
  readonly unrepaired: readonly string[]
}

/** What a check of all packs has found. */
export interface FoundDamage {
  /** Chunks that are not what was written, and have no sound replacement. */
  readonly chunks: ReadonlySet<ContentId>
  /** Ids of packs in which something is wrong. */
  readonly packs: ReadonlySet<string>
}

interface LostChunks {
  readonly tree: Set<ContentId>
  readonly data: Map<ContentId, ChunkUse[]>
  readonly paths: Map<ContentId, Set<string>>
}

/** Places of one chunk that are looked at in the directory. */
const USES_KEPT = 8

/**
 * Looks for everything that a version has lost: in all packs that the repository names, in the directory, in other
 * stores. What is found goes into new packs, and an object beside each damaged pack says so: readers look there first,
 * for this version and every other one that needs the same content. Nothing that is stored is changed or deleted, so a
 * repair that is cut off leaves everything as it was or better.
 */
export async function repairVersion(
  repository: Repository,
  record: VersionRecord,
  damage: FoundDamage,
  options: RepairOptions & {
    readonly limits?: LoadLimits | undefined
    readonly signal?: AbortSignal | undefined
  },
): Promise<VersionRepair> {
  const { dryRun = false, signal } = options
  const lease = leasePacks(repository)
  const keeper = createKeeper(lease.repository, dryRun, signal)
  const sources = { packs: 0, directory: 0, stores: 0 }
  const tried = new Set<ContentId>()
  let lost = await findLost(repository, record, damage, keeper.nodes, options)
  let isNamed = false
  try {
    // Each round may bring back nodes of the tree, and with them what is below.
    for (;;) {
      const wanted = new Set([...lost.tree, ...lost.data.keys()].filter((id) => !tried.has(id)))
      if (wanted.size === 0) break
      for (const id of wanted) tried.add(id)
      await search(repository, record, { ...options, lost, wanted, keeper, sources })
      lost = await findLost(repository, record, damage, keeper.nodes, options)
    }
    const packs = await keeper.finish()
    const damaged = damage.packs.size > 0 ? [...damage.packs] : record.packs.slice(-1).map(({ id }) => id)
    if (packs.length > 0 && !(await lease.renew(signal))) throw packsGone()
    isNamed = packs.length > 0
    for (const pack of packs) for (const id of damaged) await putRepair(repository, id, pack, signal)
    const unrepaired = new Set<string>()
    for (const [id, paths] of lost.paths) if (!keeper.has(id)) for (const path of paths) unrepaired.add(path)
    return {
      dryRun,
      version: { workspaceId: record.workspaceId, version: record.version },
      chunks: sources.packs + sources.directory + sources.stores,
      bytes: keeper.bytes(),
      sources,
      packs: packs.map(({ id }) => repository.packKey(id)),
      unrepaired: [...unrepaired].sort(),
    }
  } catch (error) {
    if (!isNamed) await lease.discard()
    throw error
  } finally {
    keeper.close()
  }
}

interface SearchOptions extends RepairOptions {
  readonly lost: LostChunks
  readonly wanted: Set<ContentId>
  readonly keeper: Keeper
  readonly sources: { packs: number; directory: number; stores: number }
  readonly signal?: AbortSignal | undefined
}

/** The nearest first: what is found is not looked for any further. */
async function search(repository: Repository, record: VersionRecord, options: SearchOptions): Promise<void> {
  const { lost, wanted, keeper, sources, directory, cacheDirectory, stores = [], signal } = options
  const takeFrom =
    (source: keyof typeof sources): TakeChunk =>
    async (id, content) => {
      sources[source] += 1
      await keeper.take(id, content, lost.tree.has(id) ? 'tree' : 'data')
    }
  if (directory !== undefined)
    await findInDirectory(repository, directory, lost.data, wanted, takeFrom('directory'), timeSlice(signal))
  if (cacheDirectory !== undefined)
    await findInCache(repository, cacheDirectory, wanted, takeFrom('directory'), timeSlice(signal))
  await findInPacks(repository, record.packs, wanted, takeFrom('packs'), signal)
  if (wanted.size > 0)
    await findInPacks(repository, await listNamedPacks(repository, signal), wanted, takeFrom('packs'), signal)
  for (const store of stores) {
    const copy = { ...repository, store }
    await findInPacks(copy, record.packs, wanted, takeFrom('stores'), signal)
    if (wanted.size > 0)
      await findInPacks(copy, await listNamedPacks(copy, signal), wanted, takeFrom('stores'), signal)
  }
}

/** Everything that the version needs and nobody can read. */
async function findLost(
  repository: Repository,
  record: VersionRecord,
  damage: FoundDamage,
  nodes: ReadonlyMap<ContentId, Uint8Array>,
  { limits, signal }: { readonly limits?: LoadLimits | undefined; readonly signal?: AbortSignal | undefined },
): Promise<LostChunks> {
  const lost: LostChunks = { tree: new Set(), data: new Map(), paths: new Map() }
  const locator = createChunkLocator(repository, record.packs, signal, true)
  const chunks = createChunkReader(repository, locator, true, signal)
  let at = ''
  const note = (id: ContentId): void => {
    const paths = lost.paths.get(id) ?? new Set()
    lost.paths.set(id, paths.add(at === '' ? '.' : pathText(at)))
  }
  const tree = createTreeReader(async (id) => {
    const known = nodes.get(id)
    if (known !== undefined) return known
    try {
      return await chunks.read(id)
    } catch (error) {
      if (WorkspaceError.is(error, 'CORRUPT')) {
        lost.tree.add(id)
        note(id)
      }
      throw error
    }
  }, limits)
  const pending: TreeDirectory[] = [rootOf(record)]
  for (let directory = pending.pop(); directory !== undefined; directory = pending.pop()) {
    signal?.throwIfAborted()
    at = directory.path
    await passOverDamage(async () => {
      for await (const entry of tree.entries(directory)) {
        const path = childOf(directory, entry.name)
        if (entry.type === 'directory') {
          const { node, entriesBelow } = entry
          pending.push({ path, node, entriesBelow, depth: directory.depth + 1 })
        }
        if (entry.type !== 'file') continue
        at = path
        await passOverDamage(async () => {
          let position = 0
          for await (const { kind, id, length } of tree.runs(path, entry)) {
            if (kind === 'chunk' && (damage.chunks.has(id) || !(await isThere(locator, id)))) {
              const uses = lost.data.get(id) ?? []
              if (uses.length < USES_KEPT) uses.push({ path, position, length })
              lost.data.set(id, uses)
              note(id)
            }
            position += length
          }
        })
        at = directory.path
      }
    })
  }
  return lost
}

async function isThere(locator: ChunkLocator, id: ContentId): Promise<boolean> {
  let isFound = locator.find(id) !== null
  if (!isFound) {
    await passOverDamage(async () => {
      await locator.locate(id)
      isFound = true
    })
  }
  return isFound
}

async function passOverDamage(work: () => Promise<void>): Promise<void> {
  try {
    await work()
  } catch (error) {
    if (!WorkspaceError.is(error, 'CORRUPT')) throw error
  }
}

/** Stores what was found; keeps nodes of the tree at hand, because what is below them is looked for next. */
interface Keeper {
  readonly nodes: ReadonlyMap<ContentId, Uint8Array>
  take(id: ContentId, content: Uint8Array, kind: 'tree' | 'data'): Promise<void>
  has(id: ContentId): boolean
  bytes(): number
  finish(): Promise<readonly PackReference[]>
  close(): void
}

function createKeeper(repository: Repository, dryRun: boolean, signal: AbortSignal | undefined): Keeper {
  const nodes = new Map<ContentId, Uint8Array>()
  const taken = new Set<ContentId>()
  let bytes = 0
  const packer: ContentPacker | null = dryRun
    ? null
    : createContentPacker(repository.keys, {
        async put({ id }, pack) {
          await repository.store.put(repository.packKey(id), pack, { size: pack.length, signal })
          return null
        },
      })
  return {
    nodes,
    has: (id) => taken.has(id),
    bytes: () => bytes,
    async take(id, content, kind) {
      taken.add(id)
      bytes += content.length
      if (kind === 'tree') nodes.set(id, Uint8Array.from(content))
      packer?.add(kind, id, content)
      if (packer?.isFull() === true) await packer.drain()
    },
    async finish() {
      return ((await packer?.finish()) ?? []).map(({ reference }) => reference)
    },
    close: () => packer?.close(),
  }
}
