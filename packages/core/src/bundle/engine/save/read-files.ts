import type { ByteString } from '../../../filesystem/directory-handle.ts'
import type { FileEntry, Run } from '../../format/tree-node.ts'
import type { FileStats } from '../known/file-stats.ts'
import { inodeKey, type HardLinks } from './find-hard-links.ts'
import { findEntry, joinPath, type KnownTree } from '../known/known-tree.ts'
import { MIN_CHUNK_BYTES } from '../../format/chunker.ts'
import { MAX_BATCH_BYTES } from './reading-messages.ts'
import { filePath, isReadWhole, readContent } from './read-content.ts'
import type { ContentReader } from './read-runs.ts'
import type { FilesAhead } from './files-ahead.ts'
import type { SaveNotes } from './save-notes.ts'
import { skipReason } from '../../skip-reason.ts'
import { factsOf } from './entry-facts.ts'
import type { FoundDirectory, FoundEntry } from './walk-directory.ts'

interface ReadFile {
  readonly entry: FileEntry
  /** `null` when the entry is not what is in the directory now. */
  readonly stats: FileStats | null
}

export interface FileReadingOptions {
  readonly reader: ContentReader
  readonly base: KnownTree
  /** Whether all content of a file of `base` can be had. */
  readonly isWhole: (file: FileEntry) => boolean
  readonly notes: SaveNotes
  readonly onRead: (bytes: number) => void
  /** Another thread for files that are not large, asked for once there are many; `null` where there is none. */
  readonly readAhead: () => FilesAhead | null
}

/** Fewer are read before another thread would have begun. */
const FILES_WORTH_A_THREAD = 256

/**
 * Reads the files that the walk did not know, each hard-linked one once, and puts what became of them in their place. One
 * that could not be read stays `unread`.
 */
export interface FileReading {
  /**
   * Those of one directory that have no other name, so that nothing has to be known of the rest of the tree. Some may
   * still be on their way afterwards.
   */
  readUnlinked(directory: FoundDirectory): Promise<void>
  /** Resolves when they have arrived. */
  settle(): Promise<void>
  /** The others, after the walk. */
  readLinked(found: readonly FoundDirectory[], links: HardLinks): Promise<void>
}

export function createFileReading(options: FileReadingOptions): FileReading {
  const { reader } = options
  const byInode = new Map<string, ReadFile>()
  const ahead = createReadingAhead(options)
  /** Larger than what goes to the other thread in batches: it cuts them when it has read the others. */
  const large: Place[] = []

  async function readOne(
    directory: FoundDirectory,
    { name, stats }: UnreadEntry,
    group: bigint,
  ): Promise<ReadFile | null> {
    const twin = group === 0n ? undefined : byInode.get(inodeKey(stats))
    if (twin !== undefined) return { entry: { ...twin.entry, name }, stats: twin.stats }
    const before = options.base.directories.get(directory.path)?.entries ?? []
    const old = findEntry(before, name)
    const file = await readFile(
      options,
      directory.path,
      { name, stats },
      old?.type === 'file' ? old : null,
      group,
    )
    if (group !== 0n && file !== null && file.stats !== null) byInode.set(inodeKey(stats), file)
    options.onRead(stats.size)
    await reader.pause()
    return file
  }
  async function readHere({ directory, index, entry }: Place, group: bigint): Promise<void> {
    const file = await readOne(directory, entry, group)
    if (file !== null) directory.entries[index] = { kind: 'leaf', ...file }
  }
  return {
    async readUnlinked(directory) {
      for (const [index, entry] of directory.entries.entries()) {
        if (entry.kind !== 'unread' || entry.stats.nlink > 1) continue
        const place = { directory, index, entry }
        if (ahead.offer(place)) continue
        if (ahead.isThreadStarted() && entry.stats.size > MAX_BATCH_BYTES) large.push(place)
        else await readHere(place, 0n)
      }
      await ahead.takeReady()
    },
    async settle() {
      for (const place of [...(await ahead.settle()), ...large.splice(0)]) await readHere(place, 0n)
    },
    async readLinked(found, links) {
      for (const directory of found) {
        for (const [index, entry] of directory.entries.entries()) {
          if (entry.kind !== 'unread' || entry.stats.nlink < 2) continue
          await readHere({ directory, index, entry }, links(entry.stats))
        }
      }
    },
  }
}

/** Hands files to another thread once there are many of them; not those that are cut where they were before. */
function createReadingAhead(options: FileReadingOptions): {
  /** False for a file that is to be read here. */
  offer(place: Place): boolean
  isThreadStarted(): boolean
  takeReady(): Promise<void>
  /** Resolves when all have arrived, with those that were not as the walk saw them. */
  settle(): Promise<readonly Place[]>
} {
  const { reader } = options
  const missed: Place[] = []
  let ahead: FilesAhead | null = null
  let filesBegun = 0
  function offer(place: Place): boolean {
    const { directory, index, entry } = place
    const { name, stats } = entry
    const path = filePath(reader, directory.path, name)
    if (!isReadWhole(path, stats, MAX_BATCH_BYTES)) return false
    if (stats.size > MIN_CHUNK_BYTES && hasCuts(options.base, directory.path, name)) return false
    filesBegun += 1
    if (filesBegun < FILES_WORTH_A_THREAD) return false
    ahead ??= options.readAhead()
    if (ahead === null) {
      filesBegun = Number.NEGATIVE_INFINITY
      return false
    }
    return ahead.offer(path, stats, (chunks) => {
      if (chunks === null) return void missed.push(place)
      const runs = chunks.map(({ id, content }): Run => {
        reader.keep(id, content)
        return { kind: 'chunk', id, length: content.length }
      })
      options.onRead(stats.size)
      directory.entries[index] = { kind: 'leaf', entry: fileEntry(name, stats, 0n, runs), stats }
    })
  }
  async function takeReady(): Promise<void> {
    while (ahead?.takeReady() === true) await reader.pause()
  }
  return {
    offer,
    isThreadStarted: () => ahead !== null,
    takeReady,
    async settle() {
      for (let next = ahead?.next() ?? null; next !== null; next = ahead?.next() ?? null) {
        await next
        await takeReady()
      }
      return missed.splice(0)
    },
  }
}

function hasCuts(base: KnownTree, parent: ByteString, name: ByteString): boolean {
  const old = findEntry(base.directories.get(parent)?.entries ?? [], name)
  return old?.type === 'file' && old.runs.length > 0
}

/** Of a file that is to be read. */
interface Place {
  readonly directory: FoundDirectory
  readonly index: number
  readonly entry: UnreadEntry
}

type UnreadEntry = Extract<FoundEntry, { kind: 'unread' }>

/** A file that never holds still keeps its place with the parent's version of it, or is left out. */
async function readFile(
  options: FileReadingOptions,
  parent: ByteString,
  found: { readonly name: ByteString; readonly stats: FileStats },
  old: FileEntry | null,
  hardLinkGroup: bigint,
): Promise<ReadFile | null> {
  const { notes, reader } = options
  const path = joinPath(parent, found.name)
  try {
    const content = await readContent(reader, parent, found.name, found.stats, old?.runs ?? [])
    if (content.outcome === 'read') {
      const { runs, stats } = content
      return { entry: fileEntry(found.name, stats, hardLinkGroup, runs), stats }
    }
    if (content.outcome === 'special-file') {
      notes.skip(path, 'special-file')
      return null
    }
  } catch (error) {
    notes.skip(path, skipReason(error))
    return null
  }
  notes.unsettle(path)
  return old !== null && options.isWhole(old) ? { entry: { ...old, hardLinkGroup: 0n }, stats: null } : null
}

function fileEntry(
  name: ByteString,
  stats: FileStats,
  hardLinkGroup: bigint,
  runs: readonly Run[],
): FileEntry {
  return { type: 'file', ...factsOf(name, stats), size: stats.size, hardLinkGroup, runs }
}
