import type { ByteString } from '../../../filesystem/directory-handle.ts'
import type { TreeEntry } from '../../format/tree-node.ts'
import type { VersionRecord } from '../../format/version-record.ts'
import { createChunkLocator } from './chunk-locator.ts'
import type { LoadLimits } from '../../bundle.ts'
import { splitPath } from './path-selection.ts'
import { createChunkReader } from './read-chunk.ts'
import type { Repository } from '../repository/repository.ts'
import { childOf, createTreeReader, type TreeDirectory, type TreeReader } from './tree-reader.ts'

export interface ReadTreeOptions {
  /** Only this entry and what is below it, in the form of `decodePath`. @default everything */
  readonly under?: string | undefined
  /** @default those of a load */
  readonly limits?: LoadLimits | undefined
  /** @default never */
  readonly signal?: AbortSignal | undefined
}

export interface ListedEntry {
  /** From the version's root; a byte string. */
  readonly path: ByteString
  readonly entry: TreeEntry
}

/**
 * The entries of a version, depth first, each directory before what it holds, by the bytes of their names. Reads only the
 * nodes on the way to `under` and below it. Nothing comes when there is no such entry.
 * @throws `CORRUPT`; `INVALID_INPUT` for `under`; `QUOTA_EXCEEDED` for a tree over the limits
 */
export async function* readTree(
  repository: Repository,
  record: VersionRecord,
  options: ReadTreeOptions = {},
): AsyncGenerator<ListedEntry, void, void> {
  const { under, limits, signal } = options
  const names = under === undefined ? [] : splitPath(under)
  const locator = createChunkLocator(repository, record.packs, signal, names.length === 0)
  const tree = createTreeReader(
    createChunkReader(repository, locator, names.length === 0, signal).read,
    limits,
  )
  if (names.length === 0) {
    yield* walk(tree, rootOf(record), signal)
    return
  }
  const found = await findEntry(tree, record, names)
  if (found === null) return
  yield found
  if (found.entry.type !== 'directory') return
  const { node, entriesBelow } = found.entry
  yield* walk(tree, { path: found.path, node, entriesBelow, depth: names.length }, signal)
}

export function rootOf(record: VersionRecord): TreeDirectory {
  return { path: '', node: record.root.node, entriesBelow: null, depth: 0 }
}

/** @param names at least one */
export async function findEntry(
  tree: TreeReader,
  record: VersionRecord,
  names: readonly ByteString[],
): Promise<ListedEntry | null> {
  let directory = rootOf(record)
  for (const [index, name] of names.entries()) {
    const entry = await findName(tree, directory, name)
    if (entry === null) return null
    const path = childOf(directory, name)
    if (index === names.length - 1) return { path, entry }
    if (entry.type !== 'directory') return null
    directory = { path, node: entry.node, entriesBelow: entry.entriesBelow, depth: index + 1 }
  }
  return null
}

async function findName(
  tree: TreeReader,
  directory: TreeDirectory,
  name: ByteString,
): Promise<TreeEntry | null> {
  for await (const entry of tree.entries(directory)) {
    if (entry.name === name) return entry
    if (entry.name > name) return null
  }
  return null
}

async function* walk(
  tree: TreeReader,
  root: TreeDirectory,
  signal: AbortSignal | undefined,
): AsyncGenerator<ListedEntry, void, void> {
  const open = [{ directory: root, entries: tree.entries(root) }]
  for (let level = open.at(-1); level !== undefined; level = open.at(-1)) {
    const next = await level.entries.next()
    if (next.done === true) {
      open.pop()
      continue
    }
    signal?.throwIfAborted()
    const entry = next.value
    const path = childOf(level.directory, entry.name)
    yield { path, entry }
    if (entry.type !== 'directory') continue
    const { node, entriesBelow } = entry
    const directory = { path, node, entriesBelow, depth: level.directory.depth + 1 }
    open.push({ directory, entries: tree.entries(directory) })
  }
}
