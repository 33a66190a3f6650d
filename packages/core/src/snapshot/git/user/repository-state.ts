import crypto from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, readdirSync, realpathSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { WorkspaceError } from '../../../errors.ts'
import { joinPath, nativePath, toBytePath, trimSpace } from '../../byte-path.ts'
import { lstatIfAllowed } from '../table/file-stamp.ts'
import { keepRepositoryObjects, type SeenObjects } from '../private/keep-repository-objects.ts'
import type { PrivateRepository } from '../private/private-repository.ts'
import { readBranch } from './read-branch.ts'
import { readRefs } from './read-refs.ts'
import { readRegularFile } from '../private/read-regular-file.ts'
import type { UserRepository } from './repository-layout.ts'
import { replaceOwnFile } from '../private/replace-own-file.ts'
import { readOperation, type RepositoryOperation } from './repository-operation.ts'
import { readIndexStamp } from './tracked-files.ts'
import { parseIndex } from './user-index.ts'

/** What HEAD, the refs, the index and the stash of the user's repository were at a capture. */
export interface RepositoryState {
  /** Real paths. */
  readonly gitDirectory: string
  readonly commonDirectory: string
  /** `ref: refs/heads/main`, or a commit when detached. As all names here in Latin-1: one character for each byte. */
  readonly head: string
  /** The ref whose value HEAD has; see `readBranch`. */
  readonly branch: string | null
  /** Branches, tags and the stash; and the ref whose value HEAD has, whatever it is. */
  readonly refs: ReadonlyMap<string, string>
  /** The reflog of the stash: its entries, oldest first. Latin-1. */
  readonly stashLog: string
  readonly index: StoredIndex | null
  /** `null` when it was too large or odd to be recorded. */
  readonly operation: RepositoryOperation | null
  /** Why it cannot be put back. */
  readonly obstacle: 'reftable' | 'split-index' | null
}

interface StoredIndex {
  /** SHA-256 of its bytes, and where they are. */
  readonly content: string
  /** git takes an entry for possibly changed when its file is as new as the index. */
  readonly mtimeNs: string
}

const MAX_INDEX_BYTES = 1 << 30
const MAX_LOG_BYTES = 16 << 20

/**
 * What is there now.
 * @param known what the index was when it had a stamp
 * @param also a ref to look for besides
 * @returns `null` when there is no repository that can be read
 */
export function readRepositoryState(
  user: UserRepository,
  known: KnownIndex | null = null,
  also: string | null = null,
): RepositoryState | null {
  const git = toBytePath(user.gitDirectory)
  const common = toBytePath(dirname(user.objectsDirectory))
  const content = readRegularFile(nativePath(joinPath(git, 'HEAD')), { maxBytes: 4096 })
  const head = trimSpace(content?.toString('latin1') ?? '')
  if (head === '') return null
  let places: { readonly gitDirectory: string; readonly commonDirectory: string }
  try {
    places = {
      gitDirectory: realpathSync(user.gitDirectory),
      commonDirectory: realpathSync(dirname(user.objectsDirectory)),
    }
  } catch {
    return null
  }
  const log = readRegularFile(nativePath(joinPath(common, 'logs/refs/stash')), { maxBytes: MAX_LOG_BYTES })
  const isReftable = lstatIfAllowed(nativePath(joinPath(common, 'reftable'))) !== null
  const index = known ?? describeIndex(user, readIndex(user, ''))
  const branch = readBranch(common, head)
  return {
    ...places,
    head,
    branch,
    refs: readRefs(
      common,
      [branch, also].filter((ref) => ref !== null),
    ),
    stashLog: log?.toString('latin1') ?? '',
    index: index.stored,
    operation: readOperation(git),
    obstacle: isReftable ? 'reftable' : index.isSplit ? 'split-index' : null,
  }
}

interface KnownIndex {
  readonly stored: StoredIndex | null
  readonly isSplit: boolean
}

function describeIndex(user: UserRepository, found: FoundIndex | null): KnownIndex {
  if (found === null) return { stored: null, isSplit: false }
  const { bytes, mtimeNs } = found
  return { stored: { content: crypto.hash('sha256', bytes), mtimeNs }, isSplit: isSplit(user, bytes) }
}

/** An index that somebody has read. */
export interface ReadIndex {
  /** From before it was read; see `readIndexStamp`. */
  readonly indexStamp: string
  readonly bytes: Uint8Array
}

interface FoundIndex {
  readonly bytes: Buffer
  readonly mtimeNs: string
}

function readIndex(
  user: UserRepository,
  indexStamp: string,
  atHand: ReadIndex | null = null,
): FoundIndex | null {
  const stats = lstatIfAllowed(user.indexFile)
  if (stats === null || stats === 'denied') return null
  const isAtHand = stats.isFile() && indexStamp !== '' && indexStamp === atHand?.indexStamp
  const bytes = isAtHand
    ? Buffer.from(atHand.bytes.buffer, atHand.bytes.byteOffset, atHand.bytes.length)
    : readRegularFile(user.indexFile, { maxBytes: MAX_INDEX_BYTES })
  if (bytes === null) return null
  return { bytes, mtimeNs: `${stats.mtimeNs}` }
}

/** Its extension names a second file, which git writes and removes by rules of its own. */
function isSplit({ gitDirectory, format }: UserRepository, index: Buffer): boolean {
  // Second files stay for two weeks after git was told to do without, and a path may hold the word.
  if (!index.includes('link')) return false
  if (!readdirSync(gitDirectory).some((name) => name.startsWith('sharedindex.'))) return false
  return parseIndex(index, format, 0n) === null
}

/**
 * Stores what is there now, as far as it is not stored yet, and makes the objects that it names our own. Where nothing
 * has changed since the last time this reads a few small files.
 * @param atHand counts where the index still has this stamp
 * @returns the id of the stored state, `null` when there is no repository
 */
export async function recordRepositoryState(
  own: PrivateRepository,
  user: UserRepository,
  atHand: ReadIndex | null = null,
): Promise<string | null> {
  const directory = statesDirectory(own)
  const last = readLast(own)
  const evidence = JSON.stringify([user.gitDirectory, user.objectsDirectory])
  const indexStamp = readIndexStamp(user.indexFile)
  const isKnown =
    indexStamp !== '' &&
    last?.indexStamp === indexStamp &&
    last.evidence === evidence &&
    (last.index.stored === null || existsSync(join(directory, last.index.stored.content)))
  const found = isKnown ? null : readIndex(user, indexStamp, atHand)
  const index = isKnown ? last.index : describeIndex(user, found)
  const state = readRepositoryState(user, index)
  if (state === null) return null
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  // Hashed to be described; a large repository's index has some megabytes.
  if (found !== null) put(own, found.bytes, index.stored?.content)
  const refs = put(own, Buffer.from(JSON.stringify([...state.refs])))
  const id = put(own, Buffer.from(JSON.stringify({ format: 1, ...state, refs })))
  if (last?.id !== id || last.indexStamp !== indexStamp || last.evidence !== evidence) {
    const objects = await keepRepositoryObjects(own, user.objectsDirectory, last?.objects ?? {})
    const text = JSON.stringify({ id, evidence, indexStamp, index, objects } satisfies LastState)
    replaceOwnFile(own, join(directory, 'last'), text)
  }
  return id
}

interface LastState {
  readonly id: string
  readonly evidence: string
  readonly indexStamp: string
  readonly index: KnownIndex
  readonly objects: SeenObjects
}

function readLast(own: PrivateRepository): LastState | null {
  try {
    return JSON.parse(readFileSync(join(statesDirectory(own), 'last'), 'utf8')) as LastState
  } catch {
    return null
  }
}

/** @param name its SHA-256, where that is known */
function put(
  own: PrivateRepository,
  content: Uint8Array,
  name: string = crypto.hash('sha256', content),
): string {
  const path = join(statesDirectory(own), name)
  if (!existsSync(path)) replaceOwnFile(own, path, content)
  return name
}

/** @throws `NOT_FOUND` when it is gone, `CORRUPT` when it is not what was written */
export function loadRepositoryState(own: PrivateRepository, id: string): RepositoryState {
  const stored = JSON.parse(readStored(own, id).toString('utf8')) as Omit<RepositoryState, 'refs'> & {
    refs: string
  }
  const refs = JSON.parse(readStored(own, stored.refs).toString('utf8')) as [string, string][]
  return { ...stored, refs: new Map(refs) }
}

export function readStored(own: PrivateRepository, name: string): Buffer {
  let content: Buffer
  try {
    content = readFileSync(join(statesDirectory(own), name.replace(/[^0-9a-f]/g, '')))
  } catch (error) {
    throw new WorkspaceError(
      'NOT_FOUND',
      'What the snapshot recorded of the repository is gone from the state directory. Roll back without restoreGit.',
      { cause: error },
    )
  }
  if (crypto.hash('sha256', content) === name) return content
  throw new WorkspaceError(
    'CORRUPT',
    'What the snapshot recorded of the repository is damaged. Roll back without restoreGit.',
  )
}

/** The files that a stored state consists of, for whoever collects the others. */
export function filesOfRepositoryState(own: PrivateRepository, id: string): string[] {
  try {
    const { refs, index } = JSON.parse(readStored(own, id).toString('utf8')) as {
      refs: string
      index: StoredIndex | null
    }
    return [id, refs, ...(index === null ? [] : [index.content])]
  } catch {
    return [id]
  }
}

export function statesDirectory(own: PrivateRepository): string {
  return join(own.directory, 'repository')
}
