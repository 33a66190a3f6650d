import type { ByteString } from '../../filesystem/directory-handle.ts'
import type { FileEntry } from '../format/tree-node.ts'
import type { FileStats } from './file-stats.ts'
import { inodeKey, type HardLinks } from './find-hard-links.ts'
import { findEntry, joinPath, type KnownTree } from './known-tree.ts'
import { readContent, readSmallFile, type ContentReader } from './read-content.ts'
import type { SaveNotes } from './save-notes.ts'
import { skipReason } from './skip-reason.ts'
import { factsOf, type FoundDirectory, type FoundEntry } from './walk-directory.ts'

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
  /** Awaited after each file. */
  readonly onRead: (bytes: number) => Promise<void> | undefined
}

/**
 * Reads the files that the walk did not know, each hard-linked one once, and puts what became of them in their place. One
 * that could not be read stays `unread`.
 */
export interface FileReading {
  /** Those of one directory that have no other name, so that nothing has to be known of the rest of the tree. */
  readUnlinked(directory: FoundDirectory): Promise<void>
  /** The others, after the walk. */
  readLinked(found: readonly FoundDirectory[], links: HardLinks): Promise<void>
}

export function createFileReading(options: FileReadingOptions): FileReading {
  const byInode = new Map<string, ReadFile>()

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
    const turn = options.onRead(stats.size)
    if (turn !== undefined) await turn
    return file
  }
  async function readIn(
    directory: FoundDirectory,
    isTurn: (entry: UnreadEntry) => boolean,
    groupOf: (entry: UnreadEntry) => bigint,
  ): Promise<void> {
    const { entries } = directory
    for (const [index, entry] of entries.entries()) {
      if (entry.kind !== 'unread' || !isTurn(entry)) continue
      const file = await readOne(directory, entry, groupOf(entry))
      if (file !== null) entries[index] = { kind: 'leaf', ...file }
    }
  }
  return {
    readUnlinked: (directory) =>
      readIn(
        directory,
        ({ stats }) => stats.nlink < 2,
        () => 0n,
      ),
    async readLinked(found, links) {
      for (const directory of found)
        await readIn(
          directory,
          ({ stats }) => stats.nlink > 1,
          ({ stats }) => links(stats),
        )
    },
  }
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
    const content =
      readSmallFile(reader, parent, found.name, found.stats) ??
      (await readContent(reader, parent, found.name, found.stats, old?.runs ?? []))
    if (content.outcome === 'read') {
      const { runs, stats } = content
      const facts = factsOf(found.name, stats)
      return { entry: { type: 'file', ...facts, size: stats.size, hardLinkGroup, runs }, stats }
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
