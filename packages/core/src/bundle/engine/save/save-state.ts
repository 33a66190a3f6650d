import type { ContentId } from '../../format/content-id.ts'
import type { RepositoryKeys } from '../../format/repository-keys.ts'
import type { FileEntry } from '../../format/tree-node.ts'
import type { PackReference } from '../../format/version-record.ts'
import type { ContentPacker, PackSink } from '../repository/content-packer.ts'
import type { DirectoryCursor } from '../../../filesystem/directory-cursor.ts'
import type { KnownTree } from '../known/known-tree.ts'
import type { LentChunkers } from './lend-chunkers.ts'
import type { ListedTree } from './list-small-tree.ts'
import type { NewFileLimits } from './new-file-limits.ts'
import type { ReadingThread } from './reading-thread.ts'
import type { SaveNotes } from './save-notes.ts'
import type { SaveProgress } from './saved-tree.ts'

export interface SaveJob {
  /** Absolute. */
  readonly directory: string
  readonly exclude: readonly string[]
  /** @default all files count */
  readonly newFiles?: NewFileLimits | undefined
  readonly keys: RepositoryKeys | null
  readonly parent: ParentTree | null
  /** Names that were listed shortly before. */
  readonly listed?: ListedTree | null
}

interface ParentTree {
  readonly root: ContentId
  readonly packs: readonly PackReference[]
}

/** What the job needs of the outside. */
export interface SaveHost extends PackSink {
  /** Called often; gives something to wait for when others must have a turn. @throws when the job is to stop */
  pause(): Promise<void> | undefined
  /** Told what the walk has found to do so far. @throws when the job is to be done elsewhere */
  onWalked(entries: number, unreadBytes: number): void
  /** So many bytes of files may be read before the walk is over. */
  readonly readAheadBytes: number
  /** Another thread that reads files; `null` where there is none. */
  readingThread(): ReadingThread | null
  /** The same, for work that is not worth a thread's start. */
  warmReadingThread(): ReadingThread | null
  onProgress(progress: SaveProgress): void
  /** The chunks of these packs, and the parent's tree if it is asked for. What is damaged is left out. */
  readParent(request: ParentRequest): Promise<KnownTree>
}

export interface ParentRequest {
  readonly root: ContentId
  readonly packs: readonly PackReference[]
  /** All packs of the parent: those that its tree is read from. `null` when the tree is not needed. */
  readonly treePacks: readonly PackReference[] | null
}

export interface SaveState {
  readonly job: SaveJob
  readonly host: SaveHost
  readonly known: KnownTree
  /** The parent's tree, by which changes are counted. */
  readonly base: KnownTree
  /** The packs that chunks may be taken from: the parent's. */
  readonly usable: ReadonlySet<string>
  /** The chunks of this save. */
  readonly fresh: Set<ContentId>
  readonly packer: ContentPacker
  readonly chunkers: LentChunkers
  readonly cursor: DirectoryCursor
  readonly notes: SaveNotes
  readonly progress: { -readonly [Field in keyof SaveProgress]: SaveProgress[Field] }
  /** Content bytes that were packed. */
  newBytes: number
}

export function hasChunk(state: SaveState, id: ContentId): boolean {
  if (state.fresh.has(id)) return true
  const pack = state.known.chunkPacks.get(id)
  return pack !== undefined && state.usable.has(pack)
}

/** Takes what the parent lacks. */
export function keepChunk(state: SaveState, kind: 'data' | 'tree', id: ContentId, content: Uint8Array): void {
  state.fresh.add(id)
  state.packer.add(kind, id, content)
}

/** Lets others have their turn, and the packer hand on what is full. */
export async function pauseSave(state: SaveState): Promise<void> {
  const turn = state.host.pause()
  if (turn !== undefined) await turn
  if (state.packer.isFull()) await state.packer.drain()
}

/** Whether all content of a file can be had from the parent's packs or those of this save. */
export function isWhole(state: SaveState, file: FileEntry): boolean {
  return file.runs.every((run) => run.kind === 'zeros' || hasChunk(state, run.id))
}
