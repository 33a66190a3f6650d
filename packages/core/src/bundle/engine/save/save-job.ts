import { toByteString, type ByteString } from '../../../filesystem/directory-handle.ts'
import type { ContentId } from '../../format/content-id.ts'
import type { PackReference } from '../../format/version-record.ts'
import { compareTrees } from './compare-trees.ts'
import { createContentPacker, type ContentPacker, type StoredPack } from '../repository/content-packer.ts'
import { createDirectoryCursor, type DirectoryCursor } from '../../../filesystem/directory-cursor.ts'
import { encodeFoundTree } from './encode-found-tree.ts'
import { findHardLinks } from './find-hard-links.ts'
import { emptyTree, forgetPacks, type KnownDirectory, type KnownTree } from '../known/known-tree.ts'
import { lendChunkers, type LentChunkers } from './lend-chunkers.ts'
import { choosePacksToMerge, mergePacks } from './merge-packs.ts'
import { createSaveNotes } from './save-notes.ts'
import { hasChunk, keepChunk, pauseSave, type SaveHost, type SaveJob, type SaveState } from './save-state.ts'
import type { SavedTree } from './saved-tree.ts'
import { walkAndRead } from './walk-and-read.ts'
import type { FoundDirectory } from './walk-directory.ts'

/** A save that packed more than this looks through the whole tree for packs that it no longer needs. */
const LARGE_SAVE_BYTES = 1024 * 1024
/** Packs that the saved tree does not need may be known for so long. */
const MAX_OLD_PACKS = 16

/**
 * Walks, reads what is not known, packs what the parent lacks, and describes the result. Synchronous calls with pauses
 * between them: it runs in a thread of its own, or in slices.
 * @param known what an earlier save or load knew of the directory; up to date after the job has succeeded
 */
export async function runSaveJob(job: SaveJob, known: KnownTree, host: SaveHost): Promise<SavedTree> {
  const startedNs = job.listed?.startedNs ?? BigInt(Date.now()) * 1_000_000n
  const cursor = createDirectoryCursor(toByteString(job.directory))
  const packer = createContentPacker(job.keys, host)
  const chunkers = lendChunkers(job.keys)
  try {
    const state = await prepare(job, known, host, { cursor, packer, chunkers })
    const { found, reading } = await walkAndRead(state)
    const links = findHardLinks(found)
    await reading.readLinked(found, links)
    const isStored = (id: ContentId): boolean => hasChunk(state, id)
    const encoding = encodeFoundTree({ found, links, keys: job.keys, isStored, startedNs })
    let step = encoding.next()
    for (; step.done !== true; step = encoding.next()) {
      keepChunk(state, 'tree', step.value.id, step.value.content)
      await pauseSave(state)
    }
    const directories = step.value
    const kept = await keepPacks(state, directories)
    return conclude(state, found[0], directories, kept, await packer.finish())
  } finally {
    packer.close()
    chunkers.giveBack()
    cursor.close()
  }
}

async function prepare(
  job: SaveJob,
  known: KnownTree,
  host: SaveHost,
  tools: {
    readonly cursor: DirectoryCursor
    readonly packer: ContentPacker
    readonly chunkers: LentChunkers
  },
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
    ...tools,
    notes: createSaveNotes(),
    progress: { filesDone: 0, filesExpected: null, bytesDone: 0, bytesExpected: null, uploadedBytes: 0 },
    newBytes: 0,
  }
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
    pause: () => pauseSave(state),
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
    skipped: notes.skipped.sort((left, right) => (left.path < right.path ? -1 : 1)),
    unstable: notes.unstable.sort(),
  }
  known.root = node
  known.directories.clear()
  for (const [path, directory] of directories) known.directories.set(path, directory)
  for (const { reference, chunks } of finished) {
    known.packs.set(reference.id, reference)
    for (const chunk of chunks) known.chunkPacks.set(chunk.id, reference.id)
  }
  // Merged packs, and those of versions that others have saved in between.
  forgetPacks(known, new Set(packs.map(({ id }) => id)), MAX_OLD_PACKS)
  return saved
}
