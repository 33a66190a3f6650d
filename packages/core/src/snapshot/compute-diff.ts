import { isUtf8 } from 'node:buffer'
import { createHash, randomBytes } from 'node:crypto'
import type { ArtifactStore } from '../artifact/artifact-store.ts'
import type { FileChange, Snapshot, WorkspaceDiff } from './snapshot.ts'
import type { SnapshotBackend } from './snapshot-backend.ts'

const DEFAULT_MAX_PATCH_BYTES = 1_048_576

export interface PatchOptions {
  /** Make a patch, where the backend can. @default true */
  readonly capturePatch?: boolean | undefined
  /** The largest patch, in bytes, that is embedded in the result. @default 1_048_576 */
  readonly maxPatchBytes?: number | undefined
  /** Where patches go instead of into the result, whatever their size. @default embedded up to the cap */
  readonly artifactStore?: ArtifactStore | undefined
  /** @default never */
  readonly signal?: AbortSignal | undefined
}

/** What changed between two snapshots, without a patch. Add one with {@link attachPatch}. */
export async function computeDiff(
  backend: SnapshotBackend,
  from: Snapshot,
  to: Snapshot,
  options: { readonly signal?: AbortSignal | undefined } = {},
): Promise<WorkspaceDiff> {
  const changes = await backend.changes(from, to, options)
  return {
    backend: backend.name,
    fromRef: from.ref,
    toRef: to.ref,
    filesChanged: changes.length,
    insertions: sum(changes, (change) => change.insertions),
    deletions: sum(changes, (change) => change.deletions),
    changes,
    changedPaths: changes.map((change) => change.path),
    patch: null,
    patchEncoding: null,
    patchBytes: null,
    patchRef: null,
    patchSha256: null,
    patchOmitted: false,
  }
}

/**
 * Adds the patch to a diff: into the artifact store when there is one, else into the result up to the cap. A patch
 * over the cap is not cut: it is left out whole, with its size and hash.
 * @throws what the artifact store throws; the diff that was passed in stays usable.
 */
export async function attachPatch(
  diff: WorkspaceDiff,
  backend: SnapshotBackend,
  from: Snapshot,
  to: Snapshot,
  options: PatchOptions = {},
): Promise<WorkspaceDiff> {
  const { capturePatch = true, maxPatchBytes = DEFAULT_MAX_PATCH_BYTES, artifactStore, signal } = options
  if (!capturePatch || !backend.capabilities.patch || diff.changes.length === 0) return diff
  const patch = measured(backend.patch(from, to, { signal }))
  if (artifactStore !== undefined) return storePatch(diff, patch, artifactStore, signal)

  let kept: Uint8Array[] | null = []
  for await (const chunk of patch.bytes) {
    if (patch.size() > maxPatchBytes) kept = null
    else kept?.push(chunk)
  }
  if (patch.size() === 0) return diff
  const facts = { patchBytes: patch.size(), patchSha256: patch.sha256() }
  if (kept === null) return { ...diff, ...facts, patchOmitted: true }
  const bytes = Buffer.concat(kept)
  const patchEncoding = isUtf8(bytes) ? 'utf8' : 'base64'
  return { ...diff, ...facts, patch: bytes.toString(patchEncoding), patchEncoding }
}

async function storePatch(
  diff: WorkspaceDiff,
  patch: MeasuredStream,
  artifactStore: ArtifactStore,
  signal: AbortSignal | undefined,
): Promise<WorkspaceDiff> {
  const iterator = patch.bytes[Symbol.asyncIterator]()
  const first = await iterator.next()
  if (first.done === true) return diff
  const patchRef = `patch_${shortRef(diff.fromRef)}_${shortRef(diff.toRef)}_${randomBytes(16).toString('hex')}`
  const body = (async function* () {
    yield first.value
    yield* { [Symbol.asyncIterator]: () => iterator }
  })()
  try {
    await artifactStore.put(patchRef, body, { contentType: 'text/x-diff', signal })
  } finally {
    // A store that fails may have left the rest unread, and git waiting to write it.
    await iterator.return?.()
  }
  return { ...diff, patchRef, patchBytes: patch.size(), patchSha256: patch.sha256() }
}

interface MeasuredStream {
  readonly bytes: AsyncIterable<Uint8Array>
  size(): number
  sha256(): string
}

function measured(source: AsyncIterable<Uint8Array>): MeasuredStream {
  const hash = createHash('sha256')
  let size = 0
  const bytes = (async function* () {
    for await (const chunk of source) {
      hash.update(chunk)
      size += chunk.byteLength
      yield chunk
    }
  })()
  return { bytes, size: () => size, sha256: () => hash.digest('hex') }
}

function shortRef(ref: string): string {
  return ref.replace(/[^A-Za-z0-9]/g, '').slice(0, 16)
}

function sum(changes: readonly FileChange[], count: (change: FileChange) => number | null): number {
  return changes.reduce((total, change) => total + (count(change) ?? 0), 0)
}
