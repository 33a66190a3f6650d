import type { FileEntry, SymlinkEntry, TreeEntry } from '../../bundle/format/tree-node.ts'
import type { ByteString } from '../../filesystem/directory-handle.ts'
import { fromBytePath } from '../byte-path.ts'
import { compileIgnoreRules, isIgnored } from '../hash/ignore-rules.ts'
import { isPreciousPath, parsePreciousRules } from '../precious-rules.ts'
import type { EntryState, FileChange } from '../snapshot.ts'
import { compareStates, isEmptyDirectory, type Delta } from './compare-states.ts'
import { diffLines, splitLines } from './diff-lines.ts'
import type { StoredState } from './stored-state.ts'
import type { SnapshotFacts } from './workspace-versions.ts'

/** A larger file counts as binary: it is compared as a whole, and memory stays flat. */
const MAX_TEXT_BYTES = 8 * 1024 * 1024
/** As git decides it: by a zero byte near the beginning. */
const LOOKED_AT_BYTES = 8000

/** A snapshot opened for comparison. */
export interface DescribedState {
  readonly state: StoredState
  readonly facts: SnapshotFacts
}

export type Leaf = FileEntry | SymlinkEntry

/**
 * What differs as the public contract has it: files, links, and directories only where they are empty. Where the two
 * snapshots were taken with different rules, only what both could see.
 */
export async function listChanges(
  before: DescribedState,
  after: DescribedState,
  signal?: AbortSignal,
): Promise<Delta[]> {
  const isVisible = visibleToBoth(before.facts, after.facts)
  const [unknownBefore, unknownAfter] = [skippedDirectories(before.facts), skippedDirectories(after.facts)]
  const deltas: Delta[] = []
  for (const delta of await compareStates(before.state, after.state, signal)) {
    const left = shown(delta.before, delta.path, unknownBefore)
    const right = shown(delta.after, delta.path, unknownAfter)
    if ((left === null && right === null) || !isVisible(delta.path)) continue
    deltas.push({ ...delta, before: left, after: right })
  }
  return deltas
}

function shown(entry: TreeEntry | null, path: ByteString, unknown: ReadonlySet<string>): TreeEntry | null {
  if (entry?.type !== 'directory') return entry
  return isEmptyDirectory(entry) && !unknown.has(fromBytePath(path)) ? entry : null
}

/** Directories that could not be read look empty in the tree. */
function skippedDirectories(facts: SnapshotFacts): ReadonlySet<string> {
  return new Set(facts.omitted.filter(({ reason }) => reason === 'unreadable').map(({ path }) => path))
}

function visibleToBoth(before: SnapshotFacts, after: SnapshotFacts): (path: ByteString) => boolean {
  if (JSON.stringify(before.rules) === JSON.stringify(after.rules)) return () => true
  const [first, second] = [compileIgnoreRules(before.rules), compileIgnoreRules(after.rules)]
  return (path) => {
    const text = fromBytePath(path)
    return !isIgnored(first, text) && !isIgnored(second, text)
  }
}

/** Which paths are precious by the rules of one of the two snapshots. */
export function preciousToEither(before: SnapshotFacts, after: SnapshotFacts): (path: ByteString) => boolean {
  const both = [before, after].map(({ precious = [] }) => parsePreciousRules(precious))
  return (path) => both.some((rules) => isPreciousPath(rules, path))
}

/** The id of a short secret would give it away to whoever tries them all. */
function withoutContent(state: EntryState | null): EntryState | null {
  return state && { ...state, content: '' }
}

/** The public list: with sizes, line counts and renames. */
export async function describeChanges(
  before: DescribedState,
  after: DescribedState,
  signal?: AbortSignal,
): Promise<FileChange[]> {
  const deltas = await listChanges(before, after, signal)
  const changes: { change: FileChange; source: string | null }[] = []
  const sources = new Map<string, string | null>()
  const isSecret = preciousToEither(before.facts, after.facts)
  for (const delta of deltas) {
    signal?.throwIfAborted()
    const left = await describeSide(before.state, delta.path, delta.before)
    const right = await describeSide(after.state, delta.path, delta.after)
    const path = fromBytePath(delta.path)
    if (right === null && left?.type === 'file')
      sources.set(left.content, sources.has(left.content) ? null : path)
    if (isSecret(delta.path)) {
      const sides = { before: withoutContent(left), after: withoutContent(right) }
      const unknown = { insertions: null, deletions: null, binary: null, redacted: true }
      changes.push({ change: { path, status: statusOf(delta), ...sides, ...unknown }, source: null })
      continue
    }
    const counts = await countLines(before.state, after.state, delta)
    const source = left === null && right?.type === 'file' ? right.content : null
    changes.push({ change: { path, status: statusOf(delta), before: left, after: right, ...counts }, source })
  }
  return changes.map(({ change, source }) => {
    const from = source === null ? undefined : sources.get(source)
    return typeof from === 'string' ? { ...change, renamedFrom: from } : change
  })
}

function statusOf({ before, after, hasSameContent }: Delta): FileChange['status'] {
  if (before === null) return 'added'
  if (after === null) return 'deleted'
  if (before.type !== after.type) return 'type-changed'
  return hasSameContent ? 'mode-changed' : 'modified'
}

async function describeSide(
  state: StoredState,
  path: ByteString,
  entry: TreeEntry | null,
): Promise<EntryState | null> {
  if (entry === null) return null
  if (entry.type === 'directory') return { type: 'directory', mode: entry.mode, size: 0, content: '' }
  const content = await state.hashOf(path, entry)
  if (entry.type === 'symlink') return { type: 'symlink', mode: 0o777, size: entry.target.length, content }
  return { type: 'file', mode: entry.mode, size: entry.size, content }
}

async function countLines(
  before: StoredState,
  after: StoredState,
  delta: Delta,
): Promise<Pick<FileChange, 'insertions' | 'deletions' | 'binary'>> {
  if (delta.hasSameContent) return { insertions: 0, deletions: 0, binary: false }
  const left = leafOf(delta.before)
  const right = leafOf(delta.after)
  const old = await readText(before, delta.path, left)
  const fresh = await readText(after, delta.path, right)
  if (old === null || fresh === null) return { insertions: null, deletions: null, binary: true }
  if (left === null || right === null) {
    const insertions = splitLines(fresh).ends.length
    const deletions = splitLines(old).ends.length
    return { insertions, deletions, binary: false }
  }
  const diff = diffLines(old, fresh)
  return { insertions: countMarks(diff.added), deletions: countMarks(diff.removed), binary: false }
}

export function leafOf(entry: TreeEntry | null): Leaf | null {
  return entry === null || entry.type === 'directory' ? null : entry
}

/** The content, or `null` when it counts as binary; nothing is an empty text. */
export async function readText(
  state: StoredState,
  path: ByteString,
  entry: Leaf | null,
): Promise<Buffer | null> {
  if (entry === null) return Buffer.alloc(0)
  if (entry.type === 'file' && entry.size > MAX_TEXT_BYTES) return null
  const chunks: Uint8Array[] = []
  for await (const chunk of state.read(path, entry)) {
    if (chunks.length === 0 && chunk.subarray(0, LOOKED_AT_BYTES).includes(0)) return null
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

function countMarks(marks: Uint8Array): number {
  return marks.reduce((sum, mark) => sum + mark, 0)
}
