import type { SnapshotProgressListener } from '../snapshot-progress.ts'
import crypto, { randomBytes } from 'node:crypto'
import { WorkspaceError } from '../../errors.ts'
import { commitVersion } from '../../bundle/engine/repository/commit-version.ts'
import { saveDirectory } from '../../bundle/engine/save/save-directory.ts'
import type { SavedTree } from '../../bundle/engine/save/saved-tree.ts'
import type { VersionRecord } from '../../bundle/format/version-record.ts'
import type { ByteString } from '../../filesystem/directory-handle.ts'
import { encodePath } from '../../filesystem/path-text.ts'
import type { CapturePolicy } from '../capture-policy.ts'
import { compareBytes, fromBytePath, nameOf, toBytePath } from '../byte-path.ts'
import { isGitInAnotherCase } from '../git-in-another-case.ts'
import type { IgnoreRules } from '../hash/ignore-rules.ts'
import { isAutomaticLabel } from '../retained-snapshots.ts'
import {
  noOmissions,
  type Omission,
  type OmissionReason,
  type Snapshot,
  type SnapshotCoverage,
} from '../snapshot.ts'
import { hasDistrustedPack } from './distrusted-packs.ts'
import { openState, rootPlace, stateCacheOf } from './stored-state.ts'
import {
  factsOf,
  findLatest,
  hasPacks,
  makeSnapshotId,
  toMetadata,
  type BundleWorkspace,
} from './workspace-versions.ts'

export interface CaptureRequest {
  readonly label: string
  readonly rules: IgnoreRules
  /** Files that no limit leaves out. @default none */
  readonly written?: readonly ByteString[] | undefined
  /** Permission bits that count in the place of those on the disk. @default none */
  readonly modes?: ReadonlyMap<ByteString, number> | undefined
  readonly onProgress?: SnapshotProgressListener | undefined
  readonly signal?: AbortSignal | undefined
}

export interface CapturedVersion {
  readonly snapshot: Snapshot
  readonly record: VersionRecord
  /** When the walk began, by the clock of this process, in milliseconds since 1970. */
  readonly startedAt: number
}

const EXAMPLES = 100
/** A version of an unchanged directory is used again for this long; then a new one keeps it from being collected. */
export const REUSE_MS = 60 * 60_000

const reasons: Readonly<Record<string, OmissionReason | undefined>> = {
  'special-file': 'special-file',
  unreadable: 'unreadable',
  'unsupported-name': 'unsupported-name',
  'too-large': 'too-large',
  'over-total': 'over-total',
}

/**
 * Saves the directory as the next version, or finds that it is the last one still. Call it under the workspace's lock.
 * A file that kept changing has its last known content, or none when there is none, and is listed as unstable.
 */
export async function captureDirectory(
  workspace: BundleWorkspace,
  request: CaptureRequest,
): Promise<CapturedVersion> {
  const { repository, workspaceId, path, cacheDirectory, policy } = workspace
  const { label, rules, written = [], onProgress, signal } = request
  const { latest, removed } = await findLatest(workspace, signal)
  const isUsable =
    latest !== null && !hasDistrustedPack(workspace, latest) && (await hasPacks(repository, latest))
  const parent = isUsable ? latest : null
  const startedAt = Date.now()
  const saved = await saveDirectory(repository, {
    workspaceId,
    directory: path,
    parent,
    exclude: toExclude(rules, workspace.ownPath),
    newFiles: { ...policy.limits, written, leftOut: parent === null ? [] : overTotal(parent, policy) },
    cacheDirectory,
    onProgress:
      onProgress === undefined
        ? undefined
        : ({ filesDone, filesExpected, bytesDone }) =>
            onProgress({
              phase: filesExpected === null ? 'look' : 'read',
              filesDone,
              filesExpected,
              bytesDone,
            }),
    signal,
  })
  const omitted = listOmitted(saved, workspace.ownPath)
  const isSame = parent !== null && isStillTheSame(parent, saved, { ...request, policy }, omitted)
  const record = isSame ? parent : await commit(workspace, request, { latest, saved, omitted })
  const facts = factsOf(record)
  const snapshot: Snapshot = {
    id: makeSnapshotId(record.version, randomBytes(8).toString('hex')),
    backend: 'bundle',
    path,
    ref: facts.ref,
    label,
    capturedAt: new Date().toISOString(),
    metadata: { entries: facts.entries },
    coverage: coverageOf(facts.entries, omitted, saved.unstable),
    ...noteDamage(removed, latest !== null && parent === null),
  }
  return { snapshot, record, startedAt }
}

function noteDamage(removed: number, isAnew: boolean): Pick<Snapshot, 'notes'> {
  const notes: string[] = []
  if (removed > 0)
    notes.push(
      `The records of the last snapshots in the private store were damaged: ${removed} snapshots are gone.`,
    )
  if (isAnew)
    notes.push(
      'Content of the last snapshots in the private store is damaged or gone. Everything was stored anew.',
    )
  return notes.length === 0 ? {} : { notes }
}

function isStillTheSame(
  parent: VersionRecord,
  saved: SavedTree,
  { label, rules, modes, policy }: CaptureRequest & { readonly policy: CapturePolicy },
  omitted: readonly Omission[],
): boolean {
  // A label of the caller's own has a claim to be kept, which that of the other version might not have.
  if (!isAutomaticLabel(label) && parent.message !== label) return false
  if (saved.root.node !== parent.root.node || saved.root.mode !== parent.root.mode) return false
  if (Date.now() - Date.parse(parent.createdAt) > REUSE_MS) return false
  const facts = factsOf(parent)
  return (
    JSON.stringify([facts.rules, facts.omitted, facts.unstable, facts.precious ?? [], facts.modes ?? []]) ===
    JSON.stringify([rules, omitted, saved.unstable, policy.precious.patterns, listModes(modes)])
  )
}

async function commit(
  workspace: BundleWorkspace,
  { label, rules, modes, signal }: CaptureRequest,
  {
    latest,
    saved,
    omitted,
  }: {
    readonly latest: VersionRecord | null
    readonly saved: SavedTree
    readonly omitted: readonly Omission[]
  },
): Promise<VersionRecord> {
  const { repository, workspaceId } = workspace
  const cache = stateCacheOf(workspace)
  const state = openState(workspace, saved, cache, { modes: listModes(modes), signal })
  const { hash: content, entries } = await state.stateOf(rootPlace(state))
  cache.save()
  const ref = crypto.hash('sha256', `ws bundle state 2\n${state.rootMode.toString(8)} ${content}`)
  const record: VersionRecord = {
    format: 1,
    workspaceId,
    version: (latest?.version ?? 0) + 1,
    parent: latest === null ? null : { workspaceId, version: latest.version },
    nonce: randomBytes(16).toString('hex'),
    message: label,
    author: null,
    metadata: toMetadata({
      ref,
      entries,
      rules,
      omitted,
      unstable: saved.unstable,
      precious: workspace.policy.precious.patterns,
      limits: workspace.policy.limits,
      ...(modes !== undefined && modes.size > 0 && { modes: listModes(modes) }),
    }),
    tags: [],
    createdAt: new Date().toISOString(),
    template: false,
    root: saved.root,
    packs: saved.packs,
    stats: saved.stats,
  }
  if (await commitVersion(repository, record, signal)) return record
  throw new WorkspaceError('BUSY', `Another process captured ${workspace.path} meanwhile. Try again.`, {
    details: { path: workspace.path },
  })
}

function listModes(modes: CaptureRequest['modes'] = new Map()): [path: string, mode: number][] {
  const sorted = [...modes].toSorted(([left], [right]) => compareBytes(left, right))
  return sorted.map(([path, mode]) => [fromBytePath(path), mode])
}

/** What stays left out under the same limits, so that a directory that nobody touches looks the same each time. */
function overTotal(parent: VersionRecord, { limits }: CapturePolicy): string[] {
  const facts = factsOf(parent)
  if (JSON.stringify(facts.limits) !== JSON.stringify(limits)) return []
  return facts.omitted.filter(({ reason }) => reason === 'over-total').map(({ path }) => toBytePath(path))
}

/** All that `isGitInAnotherCase` takes for one. */
const unsupportedNames = ['.GIT', '.GIt', '.GiT', '.Git', '.gIT', '.gIt', '.giT']

/** The rules in the engine's terms: anchored globs. */
function toExclude(rules: IgnoreRules, ownPath: string | null): string[] {
  return [
    ...[...rules.names, ...unsupportedNames].map((name) => `**/${literally(name)}`),
    ...rules.paths.map(literally),
    ...rules.globs.map((glob) => (glob.includes('/') ? glob.replace(/^\//, '') : `**/${glob}`)),
    ...(ownPath === null ? [] : [literally(ownPath)]),
  ]
}

function literally(path: string): string {
  return path.replace(/[\\*?[\]{}()!+@|]/g, '\\$&')
}

/** Sorted by path. */
function listOmitted(saved: SavedTree, ownPath: string | null): Omission[] {
  const omitted: Omission[] = []
  for (const path of saved.excluded) {
    const reason = isGitInAnotherCase(nameOf(path)) ? 'unsupported-name' : 'ignored'
    if (path !== ownPath) omitted.push({ path, reason })
  }
  for (const { path, reason } of saved.skipped) {
    const known = reasons[reason]
    if (known !== undefined) omitted.push({ path, reason: known })
  }
  return omitted
    .map((omission) => ({ omission, key: encodePath(omission.path).toString('latin1') }))
    .sort((left, right) => (left.key < right.key ? -1 : 1))
    .map(({ omission }) => omission)
}

function coverageOf(
  captured: number,
  omitted: readonly Omission[],
  unstable: readonly string[],
): SnapshotCoverage {
  const counts = noOmissions()
  for (const { reason } of omitted) counts[reason] += 1
  return {
    captured,
    complete: omitted.length === 0 && unstable.length === 0,
    omitted: counts,
    examples: omitted.slice(0, EXAMPLES),
    unstable,
  }
}
