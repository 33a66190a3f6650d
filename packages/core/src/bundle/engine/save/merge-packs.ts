import { closeSync, openSync, constants } from 'node:fs'
import { Buffer } from 'node:buffer'
import { childPath, type ByteString } from '../../../filesystem/directory-handle.ts'
import { fillBuffer } from '../../../filesystem/fill-buffer.ts'
import { contentIdOf, type ContentId } from '../../format/content-id.ts'
import type { RepositoryKeys } from '../../format/repository-keys.ts'
import type { FileEntry } from '../../format/tree-node.ts'
import { MAX_INLINE_RUNS } from '../../format/tree-runs.ts'
import type { PackReference } from '../../format/version-record.ts'
import type { DirectoryCursor } from '../../../filesystem/directory-cursor.ts'
import { encodeNodes } from './encode-nodes.ts'
import type { KnownDirectory } from '../known/known-tree.ts'

export interface MergePacksOptions {
  readonly directories: ReadonlyMap<ByteString, KnownDirectory>
  readonly cursor: DirectoryCursor
  readonly keys: RepositoryKeys | null
  readonly packs: readonly PackReference[]
  /** Where a chunk is; `undefined` for one of this save. */
  readonly packOf: (id: ContentId) => string | undefined
  readonly keep: (kind: 'data' | 'tree', id: ContentId, content: Uint8Array) => void
  readonly pause: () => Promise<void>
}

/** Packs of one tier are within a factor of four of each other. */
const FIRST_TIER_BYTES = 128 * 1024
const LARGE_PACK_BYTES = 8 * 1024 * 1024
const MERGED_AT = 8

/**
 * Small packs that are due to become one: eight of about the same size. (The tiers of a log-structured merge tree, O'Neil
 * et al., 1996: each byte is written again a few times in thousands of saves, and a version never needs many packs.)
 */
export function choosePacksToMerge(packs: readonly PackReference[]): ReadonlySet<string> {
  const tiers = new Map<number, string[]>()
  for (const pack of packs) {
    if (pack.bytes >= LARGE_PACK_BYTES) continue
    const tier = Math.max(0, Math.ceil(Math.log(pack.bytes / FIRST_TIER_BYTES) / Math.log(4)))
    tiers.set(tier, [...(tiers.get(tier) ?? []), pack.id])
  }
  const chosen = new Set<string>()
  let carried = 0
  for (const tier of [...tiers.keys()].sort((left, right) => left - right)) {
    const ids = tiers.get(tier) ?? []
    const isFull = ids.length + carried >= MERGED_AT
    if (isFull) for (const id of ids) chosen.add(id)
    carried = isFull ? 1 : 0
  }
  return chosen
}

/**
 * Stores again, from the directory, what the tree needs of the chosen packs, so that it no longer needs them. A pack of
 * which something is not on disk any more stays.
 * @returns the packs that the tree still needs
 */
export async function mergePacks(
  options: MergePacksOptions,
  chosen: ReadonlySet<string>,
): Promise<readonly PackReference[]> {
  const needed = new Set<string>()
  const moved = new Set<ContentId>()
  const own = new Set(options.packs.map((pack) => pack.id))
  let isComplete = true
  const isChosen = (id: ContentId): boolean => {
    const pack = options.packOf(id)
    if (pack === undefined || moved.has(id)) return false
    // Known from elsewhere: then it is not known which of these packs has it too, and none may be given up.
    if (!own.has(pack)) isComplete = false
    if (!chosen.has(pack)) needed.add(pack)
    return chosen.has(pack)
  }
  for (const [path, directory] of options.directories) {
    // Nothing moves and every pack is needed: what is left of the tree changes nothing.
    if (chosen.size === 0 && needed.size >= own.size) return options.packs
    for (const entry of directory.entries) {
      if (entry.type !== 'file' || !entry.runs.some((run) => run.kind === 'chunk' && isChosen(run.id)))
        continue
      for (const id of moveFile(options, path, entry, isChosen, moved)) needed.add(options.packOf(id) ?? '')
      await options.pause()
    }
    const isLarge = directory.entries.length > 4096 || directory.entries.some(hasLists)
    if (!isChosen(directory.node) && !isLarge) continue
    for (const chunk of encodeNodes(directory.entries, options.keys)) {
      if (!isChosen(chunk.id)) continue
      options.keep('tree', chunk.id, chunk.content)
      moved.add(chunk.id)
    }
    await options.pause()
  }
  return isComplete ? options.packs.filter((pack) => needed.has(pack.id)) : options.packs
}

function hasLists(entry: { readonly type: string }): boolean {
  return entry.type === 'file' && (entry as FileEntry).runs.length > MAX_INLINE_RUNS
}

/** The chunks that could not be read again. */
function moveFile(
  options: MergePacksOptions,
  path: ByteString,
  file: FileEntry,
  isChosen: (id: ContentId) => boolean,
  moved: Set<ContentId>,
): ContentId[] {
  const missing: ContentId[] = []
  let fd: number | null = null
  let offset = 0
  try {
    fd = openSync(
      childPath(options.cursor.open(path), file.name),
      constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK,
    )
  } catch {
    // Its chunks are reported as missing below.
  }
  try {
    for (const run of file.runs) {
      if (run.kind === 'chunk' && isChosen(run.id)) {
        const content = Buffer.allocUnsafe(run.length)
        const isRead = fd !== null && readWhole(fd, content, offset)
        if (isRead && contentIdOf(content, options.keys) === run.id) {
          options.keep('data', run.id, content)
          moved.add(run.id)
        } else missing.push(run.id)
      }
      offset += run.length
    }
  } finally {
    if (fd !== null) closeSync(fd)
  }
  return missing
}

function readWhole(fd: number, target: Buffer, position: number): boolean {
  try {
    return fillBuffer(fd, target, 0, target.length, position) === target.length
  } catch {
    return false
  }
}
