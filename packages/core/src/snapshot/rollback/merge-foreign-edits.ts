import { WorkspaceError } from '../../errors.ts'
import type { ByteString } from '../../filesystem/directory-handle.ts'
import { compareBytes } from '../byte-path.ts'
import { listPaths, shownPath } from './list-paths.ts'
import { isBinary, mergeText } from './merge-text.ts'
import {
  leafOf,
  type Delta,
  type LeafEntry,
  type RollbackSource,
  type RollbackState,
} from './rollback-source.ts'

/** What a file gets that somebody edited after the expected snapshot: their edit, on top of the target. */
export interface MergedFile {
  readonly mode: number
  readonly content: Uint8Array
}

export interface MergedEdits {
  /** Foreign edits where the target says what the expected state says: nothing to undo there. */
  readonly kept: ReadonlySet<ByteString>
  readonly merged: ReadonlyMap<ByteString, MergedFile>
}

export interface ThreeStates {
  /** The state that the caller believed to be there. */
  readonly believed: RollbackState
  readonly guard: RollbackState
  readonly goal: RollbackState
}

/** A larger file is not merged: three of them are held in memory. */
const MAX_TEXT_BYTES = 8 * 1024 * 1024

type Conflict =
  | 'binary'
  | 'too large'
  | 'both changed the same lines'
  | 'both changed its mode'
  | 'made or removed on one side'
  | 'no file on one side'

/**
 * For each foreign edit: the expected state is the base, the present file is one side, the target the other one.
 * @param edits from the believed state to the guard
 * @param deltas from the guard to the goal, by path
 * @throws `CONFLICT` with every path that cannot be merged and why; nothing has been touched
 */
export async function mergeForeignEdits(
  source: RollbackSource,
  states: ThreeStates,
  edits: readonly Delta[],
  deltas: ReadonlyMap<ByteString, Delta>,
  signal?: AbortSignal,
): Promise<MergedEdits> {
  const undone = new Map(
    (await source.compare(states.believed, states.goal, signal)).map((delta) => [delta.path, delta]),
  )
  const kept = new Set<ByteString>()
  const merged = new Map<ByteString, MergedFile>()
  const conflicts = new Map<ByteString, Conflict>()
  for (const edit of edits) {
    const { path } = edit
    const delta = deltas.get(path)
    if (delta === undefined) continue
    if (!undone.has(path)) {
      kept.add(path)
      continue
    }
    const result = await mergeOne(source, states, edit, delta, signal)
    if (result === 'as ours') kept.add(path)
    else if (typeof result === 'string') conflicts.set(path, result)
    else if (result !== null) merged.set(path, result)
  }
  if (conflicts.size > 0) throw refusal(conflicts)
  return { kept, merged }
}

/** @returns `as ours` when the present file is the outcome, `null` when the target's is */
async function mergeOne(
  source: RollbackSource,
  { believed, guard, goal }: ThreeStates,
  edit: Delta,
  delta: Delta,
  signal?: AbortSignal,
): Promise<MergedFile | Conflict | 'as ours' | null> {
  const { path } = edit
  const [base, ours, theirs] = [edit.before, edit.after, delta.after].map((entry) => leafOf(entry ?? null))
  if (edit.before === null || edit.after === null || delta.after === null)
    return 'made or removed on one side'
  const files = [base, ours, theirs].filter((leaf): leaf is LeafEntry => leaf?.type === 'file')
  if (!isThree(files) || base == null || ours == null || theirs == null) return 'no file on one side'
  const mode = mergeModes(base.mode, ours.mode, theirs.mode)
  if (mode === null) return 'both changed its mode'
  if (edit.hasSameContent) {
    if (mode === theirs.mode) return null
    return { mode, content: await readWhole(source, goal, { path, entry: theirs }, signal) }
  }
  const sizes = await source.sizesOf(
    files.map((entry) => ({ path, entry })),
    signal,
  )
  if (sizes.some((size) => size > MAX_TEXT_BYTES)) return 'too large'
  const texts = {
    base: await readWhole(source, believed, { path, entry: base }, signal),
    ours: await readWhole(source, guard, { path, entry: ours }, signal),
    theirs: await readWhole(source, goal, { path, entry: theirs }, signal),
  }
  if (Object.values(texts).some(isBinary)) return 'binary'
  const content = await mergeText(source.journalDirectory, texts, signal)
  if (content === null) return 'both changed the same lines'
  if (mode === theirs.mode && Buffer.compare(content, texts.theirs) === 0) return null
  return mode === ours.mode && Buffer.compare(content, texts.ours) === 0 ? 'as ours' : { mode, content }
}

function isThree(leaves: readonly LeafEntry[]): leaves is [LeafEntry, LeafEntry, LeafEntry] {
  return leaves.length === 3
}

/** @returns `null` when both sides changed it, each in its own way */
function mergeModes(base: number, ours: number, theirs: number): number | null {
  if (ours === theirs || theirs === base) return ours
  return ours === base ? theirs : null
}

async function readWhole(
  source: RollbackSource,
  state: RollbackState,
  leaf: { readonly path: ByteString; readonly entry: LeafEntry },
  signal?: AbortSignal,
): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  const receive = async (_index: number, content: AsyncIterable<Uint8Array>): Promise<void> => {
    for await (const chunk of content) chunks.push(chunk)
  }
  await source.read(state, [leaf], receive, signal)
  return Buffer.concat(chunks)
}

function refusal(conflicts: ReadonlyMap<ByteString, Conflict>): WorkspaceError {
  const sorted = [...conflicts].toSorted(([left], [right]) => compareBytes(left, right))
  const paths = sorted.map(([path]) => shownPath(path))
  const reasons = sorted.map(([, reason]) => reason)
  return new WorkspaceError(
    'CONFLICT',
    `The rollback touched nothing: ${listPaths(paths)} changed after the expected snapshot and cannot be merged (${[...new Set(reasons)].join('; ')}). Pass onForeignEdits "keep" to leave such paths as they are, or "overwrite" to roll them back too.`,
    { details: { paths, reasons } },
  )
}
