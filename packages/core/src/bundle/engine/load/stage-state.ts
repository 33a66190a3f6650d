import type { ByteString, DirectoryHandle } from '../../../filesystem/directory-handle.ts'
import { WorkspaceError } from '../../../errors.ts'
import type { TimeSlice } from '../../../filesystem/time-slice.ts'
import { pathText } from '../../../filesystem/path-text.ts'
import type { PackIndex } from '../../format/pack-index.ts'
import type { FileEntry, SymlinkEntry } from '../../format/tree-node.ts'
import type { ContentCheck } from './check-file.ts'
import type { ChunkLocator } from '../read/chunk-locator.ts'
import type { EntryRow } from './load-memory.ts'
import { objectOf, reasonOf } from '../repository/damage.ts'
import type { DamagedEntry } from './load-options.ts'
import type { Repository } from '../repository/repository.ts'
import type { FileFields, Piece, WrittenFile } from './restore-frame.ts'
import type { FrameWriter } from './restore-threads.ts'
import type { StagingDirectories } from './staging-directories.ts'
import type { TreeReader } from '../read/tree-reader.ts'

/** Where an entry is made: a directory by its number, the name in it, and the path that messages show. */
export interface StagedPlace {
  readonly directory: number
  readonly name: ByteString
  readonly path: ByteString
}

/** The same of a file or link. */
export interface StagedEntry extends StagedPlace, EntryRow {}

export interface StageOutcome {
  files: number
  bytes: number
  reusedBytes: number
  fetchedBytes: number
  readonly damaged: DamagedEntry[]
  readonly changed: { path: string; reason: string }[]
}

export interface TreeStageOptions {
  readonly repository: Repository
  readonly root: DirectoryHandle
  readonly locator: ChunkLocator
  readonly tree: TreeReader
  readonly onDamage: 'fail' | 'skip'
  /** What there is to write at most, as far as it is known: threads for much of it start while the tree is read. */
  readonly expected: { readonly files: number; readonly bytes: number }
  /** Takes a file that is done, but for a further name of a hard-linked one. */
  readonly onWritten: (place: StagedEntry, file: FileEntry, written: Omit<WrittenFile, 'file'>) => void
  /** Takes a link, of either kind, that is made. */
  readonly onLinked: (place: StagedEntry) => void
  /** Takes a file or link that could not be made; it is not there. */
  readonly onDropped: (place: StagedPlace) => void
  readonly onProgress: () => void
  readonly signal?: AbortSignal | undefined
}

export interface StagedFile {
  readonly place: StagedEntry
  readonly entry: FileEntry
  readonly isWhole: boolean
  damage: unknown
}

interface PlannedPiece extends Omit<Piece, 'base' | 'name'> {}

export interface PlannedFrame {
  readonly pack: PackIndex
  readonly frame: number
  readonly pieces: PlannedPiece[]
}

export interface StagedLink {
  readonly place: StagedEntry
  readonly file: FileEntry
}

interface LinkGroup {
  readonly first: StagedPlace
  readonly content: string
  damage: unknown
}

/** What is planned together and then written together. */
export interface StageBatch {
  readonly files: StagedFile[]
  readonly frames: Map<string, PlannedFrame>
  readonly links: StagedLink[]
  readonly symlinks: { readonly place: StagedEntry; readonly link: SymlinkEntry }[]
  pieces: number
  pieceBytes: number
}

export function emptyBatch(): StageBatch {
  return { files: [], frames: new Map(), links: [], symlinks: [], pieces: 0, pieceBytes: 0 }
}

/** What is planned and not written yet, and what has come of the rest. */
export interface StageState {
  readonly options: TreeStageOptions
  readonly directories: StagingDirectories
  readonly outcome: StageOutcome
  readonly slice: TimeSlice
  readonly content: ContentCheck
  /** The first name of each hard-linked file. */
  readonly groups: Map<bigint, LinkGroup>
  /** Is being planned. */
  batch: StageBatch
  /** So many batches were planned before. */
  batches: number
  /** Of the batch that is being written, and of those before it. */
  writing: Promise<void>
  /** Of those before it alone. */
  writingBefore: Promise<void>
  /** When all that is being written was asked for. */
  requesting: Promise<void>
  failure: { readonly error: unknown } | null
  threads: FrameWriter | null
}

/** Takes an entry whose content cannot be had; throws when that ends the load. */
export function reportDamage(
  { options, outcome }: StageState,
  { path }: Pick<StagedPlace, 'path'>,
  error: unknown,
): void {
  if (options.onDamage === 'fail' || !WorkspaceError.is(error, 'CORRUPT')) throw error
  outcome.damaged.push({ path: pathText(path), object: objectOf(error), reason: reasonOf(error) })
}

/** The same for one that was to be made and is not there. */
export function dropEntry(state: StageState, place: StagedPlace, error: unknown): void {
  reportDamage(state, place, error)
  state.options.onDropped(place)
}

/** Bits that give whoever runs a file the rights of its owner do not come back. */
export const KEPT_MODE_BITS = 0o777

/** The fields as they are set; what is left out is noted. */
export function keptFields(state: StageState, path: ByteString, fields: FileFields): FileFields {
  const { mode, mtimeSeconds, mtimeNanoseconds } = fields
  noteDropped(state, path, mode)
  return { mode: mode & KEPT_MODE_BITS, mtimeSeconds, mtimeNanoseconds }
}

/** Notes the bits of a mode that are not set. @param path empty for the directory that is loaded into */
export function noteDropped({ outcome }: StageState, path: ByteString, mode: number): void {
  const names = [
    (mode & 0o4000) === 0 ? [] : ['set-uid'],
    (mode & 0o2000) === 0 ? [] : ['set-gid'],
    (mode & 0o1000) === 0 ? [] : ['sticky'],
  ].flat()
  if (names.length > 0) {
    outcome.changed.push({ path: pathText(path) || '.', reason: `${names.join(' and ')} bit dropped` })
  }
}
