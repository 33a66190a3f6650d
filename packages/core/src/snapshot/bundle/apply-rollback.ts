import { randomBytes } from 'node:crypto'
import {
  chmodSync,
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fstatSync,
  futimesSync,
  lchownSync,
  linkSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  openSync,
  renameSync,
  rmdirSync,
  symlinkSync,
  unlinkSync,
  writeSync,
  type BigIntStats,
} from 'node:fs'
import { createDirectoryCursor, type DirectoryCursor } from '../../bundle/engine/directory-cursor.ts'
import { WorkspaceError } from '../../errors.ts'
import { childPath, type ByteString, type DirectoryHandle } from '../../filesystem/directory-handle.ts'
import { errnoOf } from '../../filesystem/filesystem-error.ts'
import { compareBytes, fromBytePath, parentOf, pathResolver, toBytePath } from '../git/byte-path.ts'
import { nameOf } from './check-places.ts'
import type { Leaf } from './describe-changes.ts'
import type { RollbackPlan, Write } from './plan-rollback.ts'
import { openJournal } from './rollback-journal.ts'
import type { StoredState } from './stored-state.ts'
import type { BundleWorkspace } from './workspace-versions.ts'

/**
 * Carries a plan out: removals first, then directories, then files (each written beside its place and renamed into
 * it), then modes. Every step goes through the open directory that holds the path, reached without following a link. It
 * stops at the first failure; the caller makes good what was done until then.
 */
export async function applyRollback(
  workspace: BundleWorkspace,
  plan: RollbackPlan,
  target: StoredState,
  signal?: AbortSignal,
): Promise<void> {
  const modes = new Map<ByteString, number>()
  const inDirectories = async (work: (access: Access) => Promise<void> | void): Promise<void> => {
    const cursor = createDirectoryCursor(toBytePath(workspace.path))
    try {
      await work({ cursor, openForWriting: (path) => openForWriting(cursor, path, modes) })
    } finally {
      cursor.close()
    }
  }
  try {
    // Each phase opens directories anew: what was removed in one may be made in the next.
    await inDirectories((access) => remove(access, plan))
    await inDirectories((access) => makeDirectories(access, plan))
    await inDirectories((access) => writeFiles(workspace, access, plan, target, signal))
    await inDirectories((access) => changeFileModes(access, plan))
  } finally {
    for (const { path, mode } of plan.directories) modes.set(path, mode)
    await inDirectories(({ cursor }) => setDirectoryModes(cursor, modes))
  }
}

interface Access {
  readonly cursor: DirectoryCursor
  /** The directory, with its owner allowed to change what is in it until the rollback is over. */
  openForWriting(path: ByteString): DirectoryHandle
}

function openForWriting(
  cursor: DirectoryCursor,
  path: ByteString,
  modes: Map<ByteString, number>,
): DirectoryHandle {
  const handle = cursor.open(path)
  const { mode, uid } = fstatSync(handle.fd)
  if ((mode & 0o300) !== 0o300 && uid === process.geteuid?.() && uid !== 0) {
    if (!modes.has(path)) modes.set(path, mode & 0o7777)
    fchmodSync(handle.fd, (mode & 0o7777) | 0o700)
  }
  return handle
}

/** Deepest first. */
function remove(access: Access, plan: RollbackPlan): void {
  for (const { path, entry, isReplaced } of plan.removals.toReversed()) {
    explained(path, () => {
      const file = childPath(access.openForWriting(parentOf(path)), nameOf(path))
      if (entry.type !== 'directory') unlinkSync(file)
      else if (isReplaced) rmdirSync(file)
      else removeIfEmpty(file)
    })
  }
}

/** What is left in it was not captured, or is to be kept. */
function removeIfEmpty(file: string | Buffer): void {
  try {
    rmdirSync(file)
  } catch (error) {
    if (!['ENOTEMPTY', 'EEXIST', 'EBUSY'].includes(errnoOf(error) ?? '')) throw error
  }
}

function makeDirectories(access: Access, plan: RollbackPlan): void {
  for (const { path } of plan.directories) explained(path, () => ensureDirectory(access, path))
}

function ensureDirectory(access: Access, path: ByteString): DirectoryHandle {
  if (path === '') return access.openForWriting(path)
  try {
    return access.openForWriting(path)
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error
  }
  const parent = ensureDirectory(access, parentOf(path))
  const file = childPath(parent, nameOf(path))
  mkdirSync(file)
  const owner = process.getuid?.() === 0 ? fstatSync(parent.fd) : null
  if (owner !== null) lchownSync(file, owner.uid, owner.gid)
  return access.openForWriting(path)
}

async function writeFiles(
  workspace: BundleWorkspace,
  access: Access,
  plan: RollbackPlan,
  target: StoredState,
  signal?: AbortSignal,
): Promise<void> {
  if (plan.writes.length === 0) return
  const prefix = `.ws-rollback-${randomBytes(8).toString('hex')}-`
  const parents = [...new Set(plan.writes.map(({ path }) => parentOf(path)))]
  const journal = openJournal(workspace, { prefix, parents })
  /** The first name written of each hard-linked file. */
  const linked = new Map<bigint, { readonly path: ByteString; readonly stats: BigIntStats }>()
  for (const [index, write] of plan.writes.entries()) {
    signal?.throwIfAborted()
    const { path, entry } = write
    const temporary = `${prefix}${index}`
    try {
      await makeEntry(workspace, access, { write, temporary, target, linked })
      const parent = access.openForWriting(parentOf(path))
      renameSync(childPath(parent, temporary), childPath(parent, nameOf(path)))
      if (entry.type === 'file' && entry.hardLinkGroup !== 0n && !linked.has(entry.hardLinkGroup)) {
        const stats = lstatSync(childPath(parent, nameOf(path)), { bigint: true })
        linked.set(entry.hardLinkGroup, { path, stats })
      }
    } catch (error) {
      throw explain(path, error)
    }
  }
  journal.close()
}

interface NewEntry {
  readonly write: Write
  readonly temporary: ByteString
  readonly target: StoredState
  readonly linked: ReadonlyMap<bigint, { readonly path: ByteString; readonly stats: BigIntStats }>
}

async function makeEntry(
  workspace: BundleWorkspace,
  access: Access,
  { write, temporary, target, linked }: NewEntry,
): Promise<void> {
  const { path, entry } = write
  const parent = ensureDirectory(access, parentOf(path))
  const file = childPath(parent, temporary)
  const owner = formerOwner(parent, nameOf(path))
  if (entry.type === 'symlink') {
    symlinkSync(Buffer.from(entry.target, 'latin1'), file)
    if (owner !== null) lchownSync(file, Number(owner.uid), Number(owner.gid))
    lutimesSync(file, timeOf(entry), timeOf(entry))
    return
  }
  const twin = entry.hardLinkGroup === 0n ? undefined : linked.get(entry.hardLinkGroup)
  if (twin !== undefined && linkTo(workspace, twin, file)) return
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW
  const fd = openSync(file, flags, 0o600)
  try {
    for await (const chunk of target.read(path, entry)) {
      for (let done = 0; done < chunk.length;) done += writeSync(fd, chunk, done)
    }
    if (owner !== null) fchownSync(fd, Number(owner.uid), Number(owner.gid))
    fchmodSync(fd, entry.mode)
    futimesSync(fd, timeOf(entry), timeOf(entry))
  } finally {
    closeSync(fd)
  }
}

/** Best effort: whether the new name is another one of the very file that was written before. */
function linkTo(
  workspace: BundleWorkspace,
  twin: { readonly path: ByteString; readonly stats: BigIntStats },
  file: string | Buffer,
): boolean {
  try {
    linkSync(pathResolver(workspace.path)(twin.path), file)
  } catch {
    return false
  }
  const stats = lstatSync(file, { bigint: true })
  if (stats.ino === twin.stats.ino && stats.dev === twin.stats.dev) return true
  unlinkSync(file)
  return false
}

/** In seconds; a double keeps a microsecond of any date of this age. */
function timeOf(entry: Leaf): number {
  return entry.mtimeSeconds + entry.mtimeNanoseconds / 1e9
}

/** When root rolls another user's workspace back, the files stay that user's. */
function formerOwner(parent: DirectoryHandle, name: ByteString): BigIntStats | null {
  if (process.getuid?.() !== 0) return null
  const there = lstatSync(childPath(parent, name), { bigint: true, throwIfNoEntry: false })
  return there ?? fstatSync(parent.fd, { bigint: true })
}

function changeFileModes({ cursor }: Access, plan: RollbackPlan): void {
  for (const { path, mode } of plan.modeChanges) {
    explained(path, () => {
      const file = childPath(cursor.open(parentOf(path)), nameOf(path))
      if (!lstatSync(file).isFile()) throw changed(path)
      setMode(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK, mode)
    })
  }
}

/** Deepest first: a directory may lose the permission to look into it. One that is not there any more has none. */
function setDirectoryModes(cursor: DirectoryCursor, modes: ReadonlyMap<ByteString, number>): void {
  for (const [path, mode] of [...modes].toSorted((left, right) => compareBytes(right[0], left[0]))) {
    try {
      if (path === '') fchmodSync(cursor.root.fd, mode)
      else {
        const file = childPath(cursor.open(parentOf(path)), nameOf(path))
        if (lstatSync(file).isDirectory())
          setMode(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_DIRECTORY, mode)
      }
    } catch (error) {
      if (!['ENOENT', 'ENOTDIR', 'ELOOP'].includes(errnoOf(error) ?? '')) throw explain(path, error)
    }
  }
}

/** Through a descriptor, so that no link is followed; by name when the present mode forbids to open it. */
function setMode(file: string | Buffer, flags: number, mode: number): void {
  let fd: number
  try {
    fd = openSync(file, flags)
  } catch (error) {
    if (errnoOf(error) !== 'EACCES') throw error
    chmodSync(file, mode)
    return
  }
  try {
    fchmodSync(fd, mode)
  } finally {
    closeSync(fd)
  }
}

function explained(path: ByteString, work: () => void): void {
  try {
    work()
  } catch (error) {
    throw explain(path, error)
  }
}

/** What only somebody else's change since the preflight can bring about. */
function explain(path: ByteString, error: unknown): unknown {
  const isChange = ['ENOENT', 'ENOTDIR', 'ELOOP', 'EEXIST', 'EISDIR', 'ENOTEMPTY'].includes(
    errnoOf(error) ?? '',
  )
  return isChange ? changed(path, error) : error
}

function changed(path: ByteString, cause?: unknown): WorkspaceError {
  const shown = fromBytePath(path)
  return new WorkspaceError(
    'CONFLICT',
    `${JSON.stringify(shown)} changed while the rollback was at work. Stop what changes it, then roll back again.`,
    { cause, details: { paths: [shown] } },
  )
}
