import { Buffer } from 'node:buffer'
import { WorkspaceError } from '../../../errors.ts'
import { toByteString, type ByteString } from '../../../filesystem/directory-handle.ts'
import type { TimeSlice } from '../../../filesystem/time-slice.ts'
import type { ContentId } from '../../format/content-id.ts'
import { contentIdOf } from '../../format/content-id.ts'
import { decodeFrameInPool } from '../../format/frame.ts'
import type { PackIndex } from '../../format/pack-index.ts'
import { cutChunk, readPackIndex } from '../../format/pack-reader.ts'
import type { PackReference } from '../../format/version-record.ts'
import { closePresent, createContentCheck, openPresent } from '../load/check-file.ts'
import { createDirectoryCursor } from '../../../filesystem/directory-cursor.ts'
import { encodeNodes } from '../save/encode-nodes.ts'
import { fetchFrames } from '../read/fetch-frames.ts'
import { forEachConcurrently } from '../repository/for-each-concurrently.ts'
import { knownTreeFile } from '../known/known-tree-file.ts'
import { readListedVersion } from '../repository/list-versions.ts'
import { findReplacements } from '../repository/repairs.ts'
import type { Repository } from '../repository/repository.ts'
import { scanWorkspaces } from '../repository/scan-workspaces.ts'

/** Takes content that was looked for, checked against its id; the bytes are gone when it is over. */
export type TakeChunk = (id: ContentId, content: Uint8Array) => Promise<void>

/** Where in the version a chunk of a file is. */
export interface ChunkUse {
  readonly path: ByteString
  readonly position: number
  readonly length: number
}

/** Every pack that a readable version of the repository names, and their replacements. */
export async function listNamedPacks(
  repository: Repository,
  signal: AbortSignal | undefined,
): Promise<readonly PackReference[]> {
  const packs = new Map<string, PackReference>()
  for (const { workspaceId, versions } of await scanWorkspaces(repository, signal)) {
    await forEachConcurrently(versions, async (listed) => {
      const record = await orNull(() => readListedVersion(repository, workspaceId, listed, signal))
      for (const pack of record?.packs ?? []) packs.set(pack.id, pack)
    })
  }
  for (const pack of await findReplacements(repository, [...packs.values()], signal)) packs.set(pack.id, pack)
  return [...packs.values()]
}

/** Looks for chunks in packs, one pack after the other; what is damaged there is passed over. Takes found ones out of `wanted`. */
export async function findInPacks(
  repository: Repository,
  packs: readonly PackReference[],
  wanted: Set<ContentId>,
  take: TakeChunk,
  signal: AbortSignal | undefined,
): Promise<void> {
  for (const pack of packs) {
    if (wanted.size === 0) return
    signal?.throwIfAborted()
    const index = await orNull(() => readPackIndex(repository, pack, signal))
    if (index !== null) await findInPack(repository, index, wanted, take, signal)
  }
}

async function findInPack(
  repository: Repository,
  index: PackIndex,
  wanted: Set<ContentId>,
  take: TakeChunk,
  signal: AbortSignal | undefined,
): Promise<void> {
  const frames = new Map<number, number[]>()
  for (let position = 0; position < index.chunkCount; position += 1) {
    const { id, frame } = index.chunkAt(position)
    if (!wanted.has(id)) continue
    const chunks = frames.get(frame) ?? []
    frames.set(frame, chunks)
    chunks.push(position)
  }
  await fetchFrames(repository, {
    work: [...frames].map(([frame, chunks]) => ({ pack: index, frame, chunks })),
    // One at a time: whoever takes a chunk may have to put a pack first.
    width: 1,
    signal,
    async onFrame({ frame, chunks }, stored) {
      const raw = await orNull(() =>
        decodeFrameInPool(stored, { packId: index.packId, frame }, repository.keys),
      )
      for (const position of raw === null ? [] : chunks) {
        const chunk = index.chunkAt(position)
        const content = await orNull(async () =>
          cutChunk(index.packId, raw ?? Buffer.alloc(0), chunk, repository.keys),
        )
        if (content !== null && wanted.delete(chunk.id)) await take(chunk.id, content)
      }
    },
    onDamage: async () => undefined,
  })
}

/** Looks for chunks of files in a directory, where the version has them; follows no link. */
export async function findInDirectory(
  repository: Repository,
  directory: string,
  uses: ReadonlyMap<ContentId, readonly ChunkUse[]>,
  wanted: Set<ContentId>,
  take: TakeChunk,
  slice: TimeSlice,
): Promise<void> {
  const content = createContentCheck(repository.keys, slice)
  const cursor = openCursor(directory)
  if (cursor === null) return
  try {
    for (const [id, places] of uses) {
      for (const { path, position, length } of places) {
        if (!wanted.has(id)) break
        const slash = path.lastIndexOf('/')
        const fd = orAbsent(() =>
          openPresent(cursor.open(path.slice(0, Math.max(0, slash))), path.slice(slash + 1)),
        )
        try {
          const bytes =
            fd === null ? null : orAbsent(() => content.chunkAt(fd, position, { kind: 'chunk', id, length }))
          if (bytes !== null && wanted.delete(id)) await take(id, bytes)
        } finally {
          closePresent(fd)
        }
        await slice.pauseWhenDue()
      }
    }
  } finally {
    cursor.close()
  }
}

/** Makes nodes of the tree again from what the last save or load has noted of the directory. */
export async function findInCache(
  repository: Repository,
  cacheDirectory: string,
  wanted: Set<ContentId>,
  take: TakeChunk,
  slice: TimeSlice,
): Promise<void> {
  const known = await knownTreeFile(cacheDirectory, repository.marker.repository).read(slice)
  for (const { entries } of known.directories.values()) {
    if (wanted.size === 0) return
    for (const { id, content } of encodeNodes(entries, repository.keys)) {
      const isRight = wanted.has(id) && contentIdOf(content, repository.keys) === id
      if (isRight && wanted.delete(id)) await take(id, content)
    }
  }
}

async function orNull<T>(read: () => Promise<T>): Promise<T | null> {
  try {
    return await read()
  } catch (error) {
    if (WorkspaceError.is(error, 'CORRUPT')) return null
    throw error
  }
}

/** Whatever cannot be read there is no help. */
function orAbsent<T>(read: () => T): T | null {
  try {
    return read()
  } catch {
    return null
  }
}

function openCursor(directory: string): ReturnType<typeof createDirectoryCursor> | null {
  return orAbsent(() => createDirectoryCursor(toByteString(directory)))
}
