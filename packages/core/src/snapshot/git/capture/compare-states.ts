import { WorkspaceError } from '../../../errors.ts'
import type { EntryType, FileChange, Snapshot } from '../../snapshot.ts'
import { compareBytes, fromBytePath, splitRecords, type BytePath } from '../../byte-path.ts'
import { runGit } from '../private/git-command.ts'
import { objectSizes } from '../private/object-sizes.ts'
import { privateCall, type PrivateRepository } from '../private/private-repository.ts'
import { assertPresent, type StoredState } from './assert-present.ts'
import { diffTrees, streamTreePatch } from './diff-trees.ts'
import { parseRef, readSidecar, type Sidecar } from '../private/sidecar.ts'

/** One side of a path that differs. */
export interface EntrySide {
  readonly type: EntryType
  /** Permission bits. */
  readonly mode: number
  /** Blob id; empty for a directory. */
  readonly id: string
}

export interface Delta {
  readonly path: BytePath
  readonly before: EntrySide | null
  readonly after: EntrySide | null
}

/** @throws `INVALID_INPUT` when the snapshot is not of this workspace and backend */
export function stateOf(snapshot: Snapshot, path: string): StoredState {
  const state = parseRef(snapshot.ref)
  if (snapshot.backend === 'git' && snapshot.path === path && state !== null) return state
  throw new WorkspaceError(
    'INVALID_INPUT',
    `Snapshot ${snapshot.id}, of ${snapshot.path} by the ${snapshot.backend} backend with the ref ${JSON.stringify(snapshot.ref)}, is none of ${path} by git. Use snapshots of one workspace and backend, as they were given.`,
    { details: { path: snapshot.path, backend: snapshot.backend } },
  )
}

/** `null` for a binary file. */
interface LineCount {
  readonly insertions: number | null
  readonly deletions: number | null
}

/** What differs, and what git said of it besides. */
interface Comparison {
  /** Sorted. Directories show only where they hold nothing captured. */
  readonly deltas: readonly Delta[]
  readonly lineCounts: ReadonlyMap<BytePath, LineCount>
  /** `null` for a long one. */
  readonly patch: Buffer | null
}

async function compareStates(
  own: PrivateRepository,
  from: StoredState,
  to: StoredState,
  signal?: AbortSignal,
): Promise<Comparison> {
  const before = readSidecar(own, from.sidecar)
  const after = readSidecar(own, to.sidecar)
  const deltas = new Map<BytePath, Delta>()
  const lineCounts = new Map<BytePath, LineCount>()
  let patch: Buffer | null = null
  if (from.tree !== to.tree) {
    const diff = await withData(own, [from, to], () => diffTrees(own, from.tree, to.tree, signal))
    for (const delta of deltasOf(diff.records, before, after)) deltas.set(delta.path, delta)
    for (const record of diff.records.slice(2 * deltas.size)) readLineCount(record, lineCounts)
    patch = diff.patch
  }
  if (from.sidecar !== to.sidecar) {
    for (const delta of await compareModes(own, to, [before, after], deltas, signal))
      deltas.set(delta.path, delta)
    for (const delta of compareDirectories(before, after)) {
      const other = deltas.get(delta.path)
      // A file where an empty directory was, or the other way round, is one change.
      const merged = { ...delta, before: other?.before ?? delta.before, after: other?.after ?? delta.after }
      deltas.set(delta.path, merged)
    }
  }
  return {
    deltas: [...deltas.values()].toSorted((a, b) => compareBytes(a.path, b.path)),
    lineCounts,
    patch,
  }
}

function* deltasOf(records: readonly string[], before: Sidecar, after: Sidecar): Generator<Delta> {
  for (let at = 0; records[at]?.startsWith(':') === true; at += 2) {
    const [oldMode = '', newMode = '', oldId = '', newId = ''] = (records[at] ?? '').slice(1).split(' ')
    const path = records[at + 1] ?? ''
    yield {
      path,
      before: toSide(path, oldMode, oldId, before),
      after: toSide(path, newMode, newId, after),
    }
  }
}

function toSide(path: BytePath, treeMode: string, id: string, sidecar: Sidecar): EntrySide | null {
  if (treeMode === '000000') return null
  if (treeMode === '120000') return { type: 'symlink', mode: 0o777, id }
  return { type: 'file', mode: sidecar.modes.get(path) ?? (treeMode === '100755' ? 0o755 : 0o644), id }
}

/** Files whose permission bits differ in a way that git does not see. */
export async function compareModes(
  own: PrivateRepository,
  to: StoredState,
  [before, after]: readonly [Sidecar, Sidecar],
  known: ReadonlyMap<BytePath, unknown>,
  signal?: AbortSignal,
): Promise<Delta[]> {
  const paths = new Set<BytePath>()
  for (const path of [...before.modes.keys(), ...after.modes.keys()]) {
    if (before.modes.get(path) !== after.modes.get(path) && !known.has(path)) paths.add(path)
  }
  if (paths.size === 0) return []
  const call = privateCall(own, ['ls-tree', '-r', '-z', to.tree], { signal })
  const deltas: Delta[] = []
  for (const record of splitRecords(await withData(own, [to], () => runGit(call)))) {
    const end = record.indexOf('\t')
    const path = record.slice(end + 1)
    if (!paths.has(path)) continue
    const [treeMode = '', , id = ''] = record.slice(0, end).split(' ')
    deltas.push({
      path,
      before: toSide(path, treeMode, id, before),
      after: toSide(path, treeMode, id, after),
    })
  }
  return deltas
}

function compareDirectories(before: Sidecar, after: Sidecar): Delta[] {
  const side = (mode: number | undefined): EntrySide | null =>
    mode === undefined ? null : { type: 'directory', mode, id: '' }
  return [...new Set([...before.directories.keys(), ...after.directories.keys()])]
    .filter((path) => before.directories.get(path) !== after.directories.get(path))
    .map((path) => ({
      path,
      before: side(before.directories.get(path)),
      after: side(after.directories.get(path)),
    }))
}

/**
 * The public list: with sizes, line counts and renames.
 * @param onPatch given the patch where it came along: a short one, of states without precious files
 */
export async function describeChanges(
  own: PrivateRepository,
  from: StoredState,
  to: StoredState,
  {
    signal,
    onPatch,
  }: { readonly signal?: AbortSignal | undefined; readonly onPatch?: (patch: Buffer) => void },
): Promise<FileChange[]> {
  const { deltas, lineCounts, patch } = await compareStates(own, from, to, signal)
  const ids = new Set(deltas.flatMap(({ before, after }) => [before?.id ?? '', after?.id ?? '']))
  ids.delete('')
  const sizes = await objectSizes(own, ids, { signal })
  const sources = renameSources(deltas)
  const precious = preciousIn(own, from, to)
  if (patch !== null && precious.size === 0) onPatch?.(patch)
  return deltas.map((delta) => {
    const isSecret = precious.has(delta.path)
    // The id of a short secret would give it away to whoever tries them all.
    const side = (state: EntrySide | null) =>
      state && {
        type: state.type,
        mode: state.mode,
        size: sizes.get(state.id) ?? 0,
        content: isSecret ? '' : state.id,
      }
    const isNewFile = delta.before === null && delta.after?.type === 'file'
    const source = isNewFile && !isSecret ? sources.get(delta.after.id) : undefined
    const none = isSecret ? null : 0
    const isUncounted = isSecret || delta.before?.id === delta.after?.id
    const count = (isUncounted ? undefined : lineCounts.get(delta.path)) ?? {
      insertions: none,
      deletions: none,
    }
    return {
      path: fromBytePath(delta.path),
      status: statusOf(delta),
      before: side(delta.before),
      after: side(delta.after),
      insertions: count.insertions,
      deletions: count.deletions,
      binary: isSecret ? null : count.insertions === null,
      ...(isSecret && { redacted: true }),
      ...(source === undefined || source === null ? {} : { renamedFrom: fromBytePath(source) }),
    }
  })
}

export async function* streamPatch(
  own: PrivateRepository,
  from: StoredState,
  to: StoredState,
  signal?: AbortSignal,
): AsyncGenerator<Uint8Array, void, void> {
  if (from.tree === to.tree) return
  try {
    yield* streamTreePatch(own, from.tree, to.tree, preciousIn(own, from, to), signal)
  } catch (error) {
    if (WorkspaceError.is(error, 'UNAVAILABLE')) await assertPresent(own, [from, to])
    throw error
  }
}

function preciousIn(own: PrivateRepository, from: StoredState, to: StoredState): Set<BytePath> {
  return new Set([from, to].flatMap(({ sidecar }) => [...readSidecar(own, sidecar).precious]))
}

function statusOf({ before, after }: Delta): FileChange['status'] {
  if (before === null) return 'added'
  if (after === null) return 'deleted'
  if (before.type !== after.type) return 'type-changed'
  return before.id === after.id ? 'mode-changed' : 'modified'
}

/** Content of deleted files that one file alone had; `null` for content that several had. */
function renameSources(deltas: readonly Delta[]): Map<string, BytePath | null> {
  const sources = new Map<string, BytePath | null>()
  for (const { path, before, after } of deltas) {
    if (after === null && before?.type === 'file')
      sources.set(before.id, sources.has(before.id) ? null : path)
  }
  return sources
}

function readLineCount(record: string, counts: Map<BytePath, LineCount>): void {
  const parts = /^(\d+|-)\t(\d+|-)\t([^]*)$/.exec(record)
  if (parts === null) return
  const [, insertions, deletions, path = ''] = parts
  const count = (text: string | undefined) => (text === '-' ? null : Number(text))
  counts.set(path, { insertions: count(insertions), deletions: count(deletions) })
}

export async function withData<T>(
  own: PrivateRepository,
  states: readonly StoredState[],
  run: () => Promise<T>,
): Promise<T> {
  try {
    return await run()
  } catch (error) {
    if (WorkspaceError.is(error, 'UNAVAILABLE')) await assertPresent(own, states)
    throw error
  }
}
