import { comparePaths } from '../../filesystem/scan-order.ts'
import { sortKey } from '../../filesystem/scan-names.ts'
import type { EntryState, FileChange } from '../snapshot.ts'
import { compileIgnoreRules, isIgnored, type IgnoreRules } from './ignore-rules.ts'
import { damaged, readManifestLines } from './manifest-files.ts'
import { parseManifestHead, parseManifestLine, type ManifestEntry } from './manifest.ts'

export interface CompareOptions {
  /** Where the manifests are. */
  readonly directory: string
  readonly from: string
  readonly to: string
  readonly signal?: AbortSignal | undefined
}

/**
 * The list of changes between two stored manifests. Reads both at once in their common order and keeps only what differs,
 * so memory grows with the changes and not with the trees. Where the two were made with different ignore rules, only
 * what both could see is compared.
 */
export async function compareManifests(options: CompareOptions): Promise<FileChange[]> {
  const { directory, signal } = options
  const from = openManifest(directory, options.from, signal)
  const to = openManifest(directory, options.to, signal)
  try {
    const [fromRules, toRules] = [await from.head(), await to.head()]
    const isVisible = visibleToBoth(fromRules, toRules)
    const before = new Map<string, ManifestEntry>()
    const after = new Map<string, ManifestEntry>()
    for (;;) {
      if (from.isDue()) await from.fill()
      if (to.isDue()) await to.fill()
      const [left, right] = [from.line(), to.line()]
      if (left === null && right === null) break
      if (left === right) {
        from.advance()
        to.advance()
        continue
      }
      const order = compareHeads(from.entry(), to.entry())
      if (order <= 0) record(before, from, isVisible)
      if (order >= 0) record(after, to, isVisible)
    }
    return listChanges(before, after)
  } finally {
    await Promise.all([from.close(), to.close()])
  }
}

interface ManifestCursor {
  head(): Promise<IgnoreRules>
  /** Whether `fill` must come before `line`. */
  isDue(): boolean
  fill(): Promise<void>
  /** The line that the cursor stands at; null at the end. */
  line(): string | null
  entry(): ManifestEntry | null
  advance(): void
  close(): Promise<void>
}

function openManifest(directory: string, ref: string, signal: AbortSignal | undefined): ManifestCursor {
  const batches = readManifestLines(directory, ref, signal)
  let lines: readonly string[] = []
  let position = 0
  let ended = false
  let parsed: ManifestEntry | null = null
  const guarded = <T>(read: () => T): T => {
    try {
      return read()
    } catch (error) {
      throw damaged(ref, error)
    }
  }
  const cursor: ManifestCursor = {
    async head() {
      const taken: string[] = []
      while (taken.length < 2 && !ended) {
        if (cursor.isDue()) await cursor.fill()
        const line = cursor.line()
        if (line !== null) taken.push(line)
        cursor.advance()
      }
      return guarded(() => parseManifestHead(taken[0], taken[1]))
    },
    isDue: () => position >= lines.length && !ended,
    async fill() {
      for (position = 0, lines = []; lines.length === 0 && !ended;) {
        const next = await batches.next()
        if (next.done === true) ended = true
        else lines = next.value
      }
    },
    line: () => lines[position] ?? null,
    entry() {
      const line = lines[position]
      return line === undefined ? null : (parsed ??= guarded(() => parseManifestLine(line)))
    },
    advance() {
      position += 1
      parsed = null
    },
    async close() {
      await batches.return(undefined)
    },
  }
  return cursor
}

function compareHeads(left: ManifestEntry | null, right: ManifestEntry | null): number {
  if (left === null || right === null) return left === null ? 1 : -1
  const [a, b] = [sortKey(left), sortKey(right)]
  return a === b ? 0 : a < b ? -1 : 1
}

function record(
  side: Map<string, ManifestEntry>,
  cursor: ManifestCursor,
  isVisible: (path: string) => boolean,
): void {
  const entry = cursor.entry()
  if (entry !== null && isVisible(entry.path)) side.set(entry.path, entry)
  cursor.advance()
}

function visibleToBoth(left: IgnoreRules, right: IgnoreRules): (path: string) => boolean {
  if (JSON.stringify(left) === JSON.stringify(right)) return () => true
  const [first, second] = [compileIgnoreRules(left), compileIgnoreRules(right)]
  return (path) => !isIgnored(first, path) && !isIgnored(second, path)
}

function listChanges(before: Map<string, ManifestEntry>, after: Map<string, ManifestEntry>): FileChange[] {
  const paths = new Set([...before.keys(), ...after.keys()])
  const sources = findSources(before, after)
  return [...paths].toSorted(comparePaths).map((path) => {
    const [old, now] = [before.get(path), after.get(path)]
    const source = old === undefined && now?.type === 'file' ? sources.get(now.content) : null
    return {
      path,
      status: statusOf(old, now),
      before: stateOf(old),
      after: stateOf(now),
      insertions: null,
      deletions: null,
      binary: null,
      ...(typeof source === 'string' ? { renamedFrom: source } : {}),
    }
  })
}

function statusOf(before: ManifestEntry | undefined, after: ManifestEntry | undefined): FileChange['status'] {
  if (before === undefined) return 'added'
  if (after === undefined) return 'deleted'
  if (before.type !== after.type) return 'type-changed'
  return before.content === after.content ? 'mode-changed' : 'modified'
}

function stateOf(entry: ManifestEntry | undefined): EntryState | null {
  if (entry === undefined) return null
  const { type, mode, size, content } = entry
  return { type, mode, size, content }
}

/** Deleted files by content; null where several had the same. */
function findSources(
  before: ReadonlyMap<string, ManifestEntry>,
  after: ReadonlyMap<string, ManifestEntry>,
): Map<string, string | null> {
  const sources = new Map<string, string | null>()
  for (const { path, type, content } of before.values()) {
    if (type === 'file' && !after.has(path)) sources.set(content, sources.has(content) ? null : path)
  }
  return sources
}
