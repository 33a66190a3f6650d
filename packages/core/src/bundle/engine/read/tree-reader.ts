import { WorkspaceError } from '../../../errors.ts'
import type { ByteString } from '../../../filesystem/directory-handle.ts'
import { pathText } from '../../../filesystem/path-text.ts'
import type { ContentId } from '../../format/content-id.ts'
import { damagedObject } from '../../format/damaged-object.ts'
import {
  readDirectoryParts,
  readRuns,
  type FileEntry,
  type ReadChunk,
  type Run,
  type TreeEntry,
} from '../../format/tree-node.ts'
import type { LoadLimits } from '../../bundle.ts'

/** A directory of a version; the root has nobody to say how much is below it. */
export interface TreeDirectory {
  readonly path: ByteString
  readonly node: ContentId
  readonly entriesBelow: number | null
  /** Levels from the root. */
  readonly depth: number
}

/** Reads a tree that may be hostile: what it says about itself has to add up, and stays below the limits. */
export interface TreeReader {
  /** In byte order of their names. @throws `CORRUPT`, `QUOTA_EXCEEDED` */
  entries(directory: TreeDirectory): AsyncGenerator<TreeEntry, void, void>
  /** The same, as many at once as are stored together. @throws `CORRUPT`, `QUOTA_EXCEEDED` */
  parts(directory: TreeDirectory): AsyncGenerator<readonly TreeEntry[], void, void>
  /** Chunks and zeros only. @throws `CORRUPT`, `QUOTA_EXCEEDED` */
  runs(path: ByteString, file: FileEntry): AsyncGenerator<Run, void, void>
  /** The same at once, when there is no list to be read; `null` when there is. @throws `CORRUPT`, `QUOTA_EXCEEDED` */
  knownRuns(path: ByteString, file: FileEntry): readonly Run[] | null
  /** Counts a directory whose entries are known without being read, as if they were. @throws `CORRUPT`, `QUOTA_EXCEEDED` */
  count(directory: TreeDirectory, entries: readonly TreeEntry[]): void
  readonly totals: { readonly entries: number; readonly contentBytes: number }
}

const GIBIBYTE = 1024 ** 3
/** No chunker cuts finer than this on average, so more runs are made to use up memory. */
const LEAST_BYTES_PER_RUN = 4096
const MAX_RUNS = 5_000_000

function resolveLimits(limits: LoadLimits = {}): { readonly [Name in keyof LoadLimits]-?: number } {
  const { maxContentBytes, maxFileBytes, maxEntries, maxDepth } = limits
  return {
    maxContentBytes: maxContentBytes ?? 256 * GIBIBYTE,
    maxFileBytes: maxFileBytes ?? 256 * GIBIBYTE,
    maxEntries: maxEntries ?? 5_000_000,
    maxDepth: maxDepth ?? 4096,
  }
}

/** Where entries may be known from, and are remembered in. */
export interface TreeMemory {
  entriesOf(directory: TreeDirectory): readonly TreeEntry[] | null
  addDirectory(directory: TreeDirectory, parts: readonly (readonly TreeEntry[])[]): void
}

export function createTreeReader(readChunk: ReadChunk, given?: LoadLimits, memory?: TreeMemory): TreeReader {
  const limits = resolveLimits(given)
  const totals = { entries: 0, contentBytes: 0, runs: 0 }

  async function* parts(directory: TreeDirectory): AsyncGenerator<readonly TreeEntry[], void, void> {
    const check = checkEntries(directory, limits, totals)
    const known = memory?.entriesOf(directory) ?? null
    const remembered: (readonly TreeEntry[])[] = []
    const stored = known === null ? readDirectoryParts(directory.node, readChunk) : [known]
    for await (const part of memory === undefined ? stored : withOpenLists(stored, readChunk)) {
      let taken = 0
      try {
        for (; taken < part.length; taken += 1) check.add(part[taken] as TreeEntry)
      } catch (error) {
        // What comes before the lie is true.
        yield part.slice(0, taken)
        throw error
      }
      if (memory !== undefined) remembered.push(part)
      yield part
    }
    check.end()
    memory?.addDirectory(directory, remembered)
  }

  return {
    totals,
    async *entries(directory) {
      for await (const part of parts(directory)) yield* part
    },
    parts,
    count(directory, entries) {
      const check = checkEntries(directory, limits, totals)
      for (const entry of entries) check.add(entry)
      check.end()
    },
    async *runs(path, file) {
      const check = checkRuns(path, file, totals)
      for await (const run of readRuns(file, readChunk)) {
        check.add(run)
        yield run
      }
      check.end()
    },
    knownRuns(path, file) {
      if (hasLists(file)) return null
      const check = checkRuns(path, file, totals)
      for (const run of file.runs) check.add(run)
      check.end()
      return file.runs
    },
  }
}

/** What a directory says about itself has to add up. */
function checkEntries(
  directory: TreeDirectory,
  limits: ReturnType<typeof resolveLimits>,
  totals: { entries: number; contentBytes: number },
) {
  if (directory.depth > limits.maxDepth) throw tooMuch(`more than ${limits.maxDepth} levels of directories`)
  let last: ByteString | null = null
  let below = 0
  return {
    add(entry: TreeEntry): void {
      if (last !== null && entry.name <= last) throw lies(directory, 'its names are not in order')
      last = entry.name
      below += entry.type === 'directory' ? 1 + entry.entriesBelow : 1
      totals.entries += 1
      // What a directory says to be below it is refused here, before any of that is read or written.
      if (totals.entries > limits.maxEntries || below > limits.maxEntries) {
        throw tooMuch(`more than ${limits.maxEntries} entries`)
      }
      if (directory.entriesBelow !== null && below > directory.entriesBelow) {
        throw lies(directory, `it has more than the ${directory.entriesBelow} entries that its parent says`)
      }
      if (entry.type === 'file') countContent(entry, directory, limits, totals)
    },
    end(): void {
      if (directory.entriesBelow === null || below === directory.entriesBelow) return
      throw lies(directory, `it has ${below} entries and its parent says ${directory.entriesBelow}`)
    },
  }
}

function checkRuns(path: ByteString, file: FileEntry, totals: { runs: number }) {
  let count = 0
  let length = 0
  const fail = (reason: string): never => {
    throw damagedObject(`tree entry ${JSON.stringify(pathText(path))}`, reason)
  }
  return {
    add(run: Run): void {
      count += 1
      totals.runs += 1
      length += run.length
      if (run.kind === 'list' || run.length === 0 || count > file.size / LEAST_BYTES_PER_RUN + 16)
        fail('its content is cut in an impossible way')
      if (totals.runs > MAX_RUNS) throw tooMuch(`more than ${MAX_RUNS} pieces of content`)
    },
    end(): void {
      if (length !== file.size) fail('its pieces do not add up to its size')
    },
  }
}

function hasLists({ runs }: FileEntry): boolean {
  return runs.some(({ kind }) => kind === 'list')
}

function isListed(entry: TreeEntry): entry is FileEntry {
  return entry.type === 'file' && hasLists(entry)
}

/** A file whose runs are lists is a part of its own, so that no more than its lists are open before they are counted. */
async function* withOpenLists(
  parts: AsyncIterable<readonly TreeEntry[]> | Iterable<readonly TreeEntry[]>,
  readChunk: ReadChunk,
): AsyncGenerator<readonly TreeEntry[], void, void> {
  for await (const part of parts) {
    let start = 0
    for (const [index, entry] of part.entries()) {
      if (!isListed(entry)) continue
      if (index > start) yield part.slice(start, index)
      yield [await openLists(entry, readChunk)]
      start = index + 1
    }
    if (start === 0) yield part
    else if (start < part.length) yield part.slice(start)
  }
}

async function openLists(entry: FileEntry, readChunk: ReadChunk): Promise<FileEntry> {
  const runs: Run[] = []
  for await (const run of readRuns(entry, readChunk)) runs.push(run)
  return { ...entry, runs }
}

export function childOf(directory: { readonly path: ByteString }, name: ByteString): ByteString {
  return directory.path === '' ? name : `${directory.path}/${name}`
}

function countContent(
  file: FileEntry,
  directory: TreeDirectory,
  limits: ReturnType<typeof resolveLimits>,
  totals: { contentBytes: number },
): void {
  totals.contentBytes += file.size
  if (file.size > limits.maxFileBytes) {
    throw tooMuch(
      `a file of ${file.size} bytes, ${JSON.stringify(pathText(childOf(directory, file.name)))}; at most ${limits.maxFileBytes} are allowed`,
    )
  }
  if (totals.contentBytes > limits.maxContentBytes)
    throw tooMuch(`more than ${limits.maxContentBytes} bytes of content`)
}

function lies(directory: TreeDirectory, reason: string): WorkspaceError {
  return damagedObject(`tree node of ${JSON.stringify(pathText(directory.path))}`, reason)
}

function tooMuch(what: string): WorkspaceError {
  return new WorkspaceError(
    'QUOTA_EXCEEDED',
    `The version has ${what}. Nothing was changed; raise the limit if it is wanted.`,
  )
}
