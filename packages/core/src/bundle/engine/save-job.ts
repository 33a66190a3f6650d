import { toByteString, type ByteString } from '../../filesystem/directory-handle.ts'
import { excludeFilter } from '../exclude-filter.ts'
import { createChunker } from '../format/chunker.ts'
import { contentIdOf, type ContentId } from '../format/content-id.ts'
import type { RepositoryKeys } from '../format/repository-keys.ts'
import type { FileEntry } from '../format/tree-node.ts'
import type { PackReference } from '../format/version-record.ts'
import { compareTrees } from './compare-trees.ts'
import { createContentPacker, type ContentPacker, type StoredPack, type PackSink } from './content-packer.ts'
import { createDirectoryCursor, type DirectoryCursor } from './directory-cursor.ts'
import { encodeFoundTree } from './encode-found-tree.ts'
import { findHardLinks, type HardLinks } from './find-hard-links.ts'
import { emptyTree, type KnownDirectory, type KnownTree } from './known-tree.ts'
import { choosePacksToMerge, mergePacks } from './merge-packs.ts'
import { READ_BUFFER_BYTES } from './read-content.ts'
import { readFiles, type ReadFiles } from './read-files.ts'
import { createSaveNotes, type SaveNotes } from './save-notes.ts'
import type { SavedTree, SaveProgress } from './saved-tree.ts'
import { walkDirectory, type FoundDirectory } from './walk-directory.ts'

export interface SaveJob {
  /** Absolute. */
  readonly directory: string
  readonly exclude: readonly string[]
  readonly keys: RepositoryKeys | null
  readonly parent: ParentTree | null
}

export interface ParentTree {
  readonly root: ContentId
  readonly packs: readonly PackReference[]
}

/** What the job needs of the outside. */
export interface SaveHost extends PackSink {
  /** Called often; gives something to wait for when others must have a turn. @throws when the job is to stop */
  pause(): Promise<void> | undefined
  /** Told what the walk has found to do so far. @throws when the job is to be done elsewhere */
  onWalked(entries: number, unreadBytes: number): void
  onProgress(progress: SaveProgress): void
  /** The chunks of these packs, and the parent's tree if it is asked for. What is damaged is left out. */
  readParent(request: ParentRequest): Promise<KnownTree>
}

export interface ParentRequest {
  readonly root: ContentId
  readonly packs: readonly PackReference[]
  /** All packs of the parent: those that its tree is read from. `null` when the tree is not needed. */
  readonly treePacks: readonly PackReference[] | null
}

interface SaveState {
  readonly job: SaveJob
  readonly host: SaveHost
  readonly known: KnownTree
  /** The parent's tree, by which changes are counted. */
  readonly base: KnownTree
  /** The packs that chunks may be taken from: the parent's. */
  readonly usable: ReadonlySet<string>
  /** The chunks of this save. */
  readonly fresh: Set<ContentId>
  readonly packer: ContentPacker
  readonly cursor: DirectoryCursor
  readonly notes: SaveNotes
  readonly progress: { -readonly [Field in keyof SaveProgress]: SaveProgress[Field] }
  /** Content bytes that were packed. */
  newBytes: number
}

/** A save that packed more than this looks through the whole tree for packs that it no longer needs. */
const LARGE_SAVE_BYTES = 1024 * 1024

/**
 * Walks, reads what is not known, packs what the parent lacks, and describes the result. Synchronous calls with pauses
 * between them: it runs in a thread of its own, or in slices.
 * @param known what an earlier save or load knew of the directory; up to date after the job has succeeded
 */
export async function runSaveJob(job: SaveJob, known: KnownTree, host: SaveHost): Promise<SavedTree> {
  const startedNs = BigInt(Date.now()) * 1_000_000n
  const cursor = createDirectoryCursor(toByteString(job.directory))
  try {
    const state = await prepare(job, known, host, cursor)
    const { packer } = state
    const found = await walk(state)
    const links = findHardLinks(found)
    const read = await readUnknown(state, found, links)
    const isStored = (id: ContentId): boolean => hasChunk(state, id)
    const encoding = encodeFoundTree({ found, read, links, keys: job.keys, isStored, startedNs })
    let step = encoding.next()
    for (; step.done !== true; step = encoding.next()) {
      keep(state, 'tree', step.value.id, step.value.content)
      await pause(state)
    }
    const directories = step.value
    const kept = await keepPacks(state, directories)
    return conclude(state, found[0], directories, kept, await packer.finish())
  } finally {
    cursor.close()
  }
}

async function prepare(
  job: SaveJob,
  known: KnownTree,
  host: SaveHost,
  cursor: DirectoryCursor,
): Promise<SaveState> {
  const { parent } = job
  let base = emptyTree()
  const usable = new Set<string>()
  if (parent !== null) {
    const missing = parent.packs.filter((pack) => !known.packs.has(pack.id))
    const isCurrent = known.root === parent.root
    if (isCurrent) base = known
    if (missing.length > 0 || !isCurrent) {
      const treePacks = isCurrent ? null : parent.packs
      const got = await host.readParent({ root: parent.root, packs: missing, treePacks })
      for (const [id, pack] of got.packs) known.packs.set(id, pack)
      for (const [id, pack] of got.chunkPacks) known.chunkPacks.set(id, pack)
      if (!isCurrent) base = got
    }
    for (const pack of parent.packs) if (known.packs.has(pack.id)) usable.add(pack.id)
  }
  return {
    job,
    host,
    known,
    base: { ...base, directories: new Map(base.directories) },
    usable,
    fresh: new Set(),
    packer: createContentPacker(job.keys, host),
    cursor,
    notes: createSaveNotes(),
    progress: { filesDone: 0, filesExpected: null, bytesDone: 0, bytesExpected: null, uploadedBytes: 0 },
    newBytes: 0,
  }
}

function hasChunk(state: SaveState, id: ContentId): boolean {
  if (state.fresh.has(id)) return true
  const pack = state.known.chunkPacks.get(id)
  return pack !== undefined && state.usable.has(pack)
}

function keep(state: SaveState, kind: 'data' | 'tree', id: ContentId, content: Uint8Array): void {
  state.fresh.add(id)
  state.packer.add(kind, id, content)
}

async function pause(state: SaveState): Promise<void> {
  const turn = state.host.pause()
  if (turn !== undefined) await turn
  if (state.packer.isFull()) await state.packer.drain()
}

async function walk(state: SaveState): Promise<FoundDirectory[]> {
  const { job, host, known, cursor, notes } = state
  const walking = walkDirectory({
    cursor,
    directory: toByteString(job.directory),
    known: (path) => known.directories.get(path) ?? null,
    isExcluded: excludeFilter(job.exclude),
    notes,
  })
  let seen = 0
  let step = walking.next()
  for (; step.done !== true; step = walking.next()) {
    seen += step.value
    host.onWalked(seen, 0)
    const turn = host.pause()
    if (turn !== undefined) await turn
  }
  const found = step.value
  // What the cache knows is in the store as long as it is the parent's own tree; else it must be looked up.
  const isSure = known.root === job.parent?.root && state.usable.size === job.parent.packs.length
  if (!isSure) for (const directory of found) forgetUnstored(state, directory)
  expect(state, found)
  return found
}

function forgetUnstored(state: SaveState, directory: FoundDirectory): void {
  directory.entries.forEach((found, index) => {
    if (found.kind !== 'leaf' || found.entry.type !== 'file' || isWhole(state, found.entry)) return
    directory.entries[index] = { kind: 'unread', name: found.entry.name, stats: found.stats }
    directory.isSame = false
  })
}

function isWhole(state: SaveState, file: FileEntry): boolean {
  return file.runs.every((run) => run.kind === 'zeros' || hasChunk(state, run.id))
}

function expect(state: SaveState, found: readonly FoundDirectory[]): void {
  let entries = 0
  let files = 0
  let unreadFiles = 0
  let unreadBytes = 0
  for (const directory of found) {
    entries += directory.entries.length
    for (const entry of directory.entries) {
      if (entry.kind === 'directory') continue
      files += 1
      if (entry.kind === 'leaf') continue
      unreadFiles += 1
      unreadBytes += entry.stats.size
    }
  }
  state.host.onWalked(entries, unreadBytes)
  const { progress } = state
  progress.filesExpected = files
  progress.filesDone = files - unreadFiles
  progress.bytesExpected = unreadBytes
  state.host.onProgress({ ...progress })
}

async function readUnknown(
  state: SaveState,
  found: readonly FoundDirectory[],
  links: HardLinks,
): Promise<ReadFiles> {
  const { job, cursor, base, notes, progress, host } = state
  const reader = {
    identify: (content: Uint8Array) => contentIdOf(content, job.keys),
    keep: (id: ContentId, content: Uint8Array) => {
      if (hasChunk(state, id)) return
      state.newBytes += content.length
      keep(state, 'data', id, content)
    },
    pause: () => pause(state),
    chunker: createChunker(job.keys, READ_BUFFER_BYTES),
    cursor,
    directory: toByteString(job.directory),
  }
  return readFiles({
    found,
    links,
    reader,
    base,
    isWhole: (file) => isWhole(state, file),
    notes,
    onRead(bytes) {
      progress.filesDone += 1
      progress.bytesDone += bytes
      host.onProgress({ ...progress })
      return pause(state)
    },
  })
}

/** The parent's packs that the tree still needs. */
async function keepPacks(
  state: SaveState,
  directories: ReadonlyMap<ByteString, KnownDirectory>,
): Promise<readonly PackReference[]> {
  const { job, cursor, known, fresh } = state
  const packs = (job.parent?.packs ?? []).filter((pack) => state.usable.has(pack.id))
  if (directories.get('')?.node === job.parent?.root) return packs
  const chosen = choosePacksToMerge(packs)
  if (chosen.size === 0 && state.newBytes < LARGE_SAVE_BYTES) return packs
  const options = {
    directories,
    cursor,
    keys: job.keys,
    packs,
    packOf: (id: ContentId) => (fresh.has(id) ? undefined : known.chunkPacks.get(id)),
    keep: (kind: 'data' | 'tree', id: ContentId, content: Uint8Array) => state.packer.add(kind, id, content),
    pause: () => pause(state),
  }
  return mergePacks(options, chosen)
}

function conclude(
  state: SaveState,
  root: FoundDirectory | undefined,
  directories: Map<ByteString, KnownDirectory>,
  kept: readonly PackReference[],
  finished: readonly StoredPack[],
): SavedTree {
  const { known, notes } = state
  const node = directories.get('')?.node
  if (root === undefined || node === undefined) throw new Error('the walk did not find its own root')
  const { mode, mtimeSeconds, mtimeNanoseconds } = root.facts
  const packs = [...kept, ...finished.map((pack) => pack.reference)]
  const saved: SavedTree = {
    root: { node, mode, mtimeSeconds, mtimeNanoseconds },
    packs,
    newPacks: finished.map((pack) => pack.reference.id),
    ...compareTrees(state.base.directories, directories),
    reusedBytes: Math.max(0, (directories.get('')?.contentBytesBelow ?? 0) - state.newBytes),
    uploadedBytes: finished.reduce((sum, pack) => sum + pack.reference.bytes, 0),
    excluded: notes.excluded.sort(),
    skipped: notes.skipped,
    unstable: notes.unstable,
  }
  known.root = node
  known.directories.clear()
  for (const [path, directory] of directories) known.directories.set(path, directory)
  for (const { reference, chunks } of finished) {
    known.packs.set(reference.id, reference)
    for (const chunk of chunks) known.chunkPacks.set(chunk.id, reference.id)
  }
  return saved
}
