import {
  chmodSync,
  closeSync,
  constants,
  fchmodSync,
  lstatSync,
  openSync,
  rmdirSync,
  unlinkSync,
} from 'node:fs'
import { childPath, type ByteString } from '../../filesystem/directory-handle.ts'
import { errnoOf, isAbsence } from '../../filesystem/filesystem-error.ts'
import { timeSlice, type TimeSlice } from '../../filesystem/time-slice.ts'
import { compareBytes, nameOf, parentOf } from '../byte-path.ts'
import type { DirectoryCursor } from '../../filesystem/directory-cursor.ts'
import {
  changedMeanwhile,
  explainChange,
  explained,
  inDirectories,
  type DirectoryAccess,
} from './directory-access.ts'
import type { SnapshotProgressListener } from '../snapshot-progress.ts'
import { singleChunk } from '../../single-chunk.ts'
import { insistOn } from './insist-on.ts'
import type { RollbackPlan, Write } from './plan-rollback.ts'
import type { StagedContent } from './stage-content.ts'
import { createEntryWriter, type EntryWriter } from './write-entry.ts'

const DIRECTORY_FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_DIRECTORY

export interface ApplyOptions {
  /** What the names of half-written files begin with, as the journal has it. */
  readonly prefix: string
  readonly onProgress?: SnapshotProgressListener | undefined
  readonly signal?: AbortSignal | undefined
}

/**
 * Carries a plan out: removals first, then directories, then files (each written beside its place and renamed into
 * it), then modes. Every step goes through the open directory that holds the path, reached without following a link. It
 * stops at the first failure; the caller makes good what was done until then.
 */
export async function applyRollback(
  root: string,
  plan: RollbackPlan,
  staged: StagedContent,
  options: ApplyOptions,
): Promise<void> {
  const modes = new Map<ByteString, number>()
  const phase = (work: (access: DirectoryAccess) => Promise<void> | void): Promise<void> =>
    inDirectories(root, modes, work)
  try {
    // Each phase opens directories anew: what was removed in one may be made in the next.
    await phase(({ cursor }) => letIn(cursor, plan))
    await phase((access) => remove(access, plan, timeSlice(options.signal)))
    await phase((access) => {
      for (const { path } of plan.directories) explained(path, () => void access.ensure(path))
    })
    await phase((access) => writeFiles(root, access, { plan, staged }, options))
    await phase((access) => changeFileModes(access, plan))
  } finally {
    for (const { path, mode } of plan.directories) modes.set(path, mode)
    await phase(({ cursor }) => setDirectoryModes(cursor, modes))
  }
}

/** Directories that are to have another mode may forbid even their owner to look into them as they are. */
function letIn(cursor: DirectoryCursor, plan: RollbackPlan): void {
  for (const { path } of plan.directories) {
    try {
      const file = childPath(cursor.open(parentOf(path)), nameOf(path))
      const stats = lstatSync(file)
      if (stats.isDirectory() && (stats.mode & 0o700) !== 0o700)
        setMode(file, DIRECTORY_FLAGS, (stats.mode & 0o7777) | 0o700)
    } catch (error) {
      // What is not there yet is made later; what is something else is removed first.
      if (!isAbsence(error)) throw error
    }
  }
}

/** Deepest first. */
async function remove(access: DirectoryAccess, plan: RollbackPlan, slice: TimeSlice): Promise<void> {
  for (const { path, entry, isReplaced } of plan.removals.toReversed()) {
    await slice.pauseWhenDue()
    explained(path, () => {
      const file = childPath(access.openForWriting(parentOf(path)), nameOf(path))
      if (entry.type !== 'directory') insistOn(() => unlinkSync(file), file)
      else if (isReplaced) insistOn(() => rmdirSync(file), file)
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

async function writeFiles(
  root: string,
  access: DirectoryAccess,
  { plan, staged }: { readonly plan: RollbackPlan; readonly staged: StagedContent },
  { prefix, onProgress, signal }: ApplyOptions,
): Promise<void> {
  const writer = createEntryWriter(root, access)
  const filesExpected = plan.writes.length
  let filesDone = 0
  const report = (): void =>
    onProgress?.({ phase: 'write', filesDone, filesExpected, bytesDone: staged.bytes })
  report()
  await staged.pass(async (write, number, content) => {
    await writeOne(writer, write, `${prefix}${number}`, content)
    filesDone += 1
    report()
  }, signal)
  for (const [index, write] of plan.writes.entries()) {
    if (write.merged === null) continue
    await writeOne(writer, write, `${prefix}m${index}`, singleChunk(write.merged))
    filesDone += 1
    report()
  }
}

async function writeOne(
  writer: EntryWriter,
  write: Write,
  temporary: ByteString,
  content: AsyncIterable<Uint8Array>,
): Promise<void> {
  try {
    await writer.write(write, temporary, content)
  } catch (error) {
    throw explainChange(write.path, error)
  }
}

function changeFileModes({ cursor }: DirectoryAccess, plan: RollbackPlan): void {
  for (const { path, mode } of plan.modeChanges) {
    explained(path, () => {
      const file = childPath(cursor.open(parentOf(path)), nameOf(path))
      if (!lstatSync(file).isFile()) throw changedMeanwhile(path)
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
        if (lstatSync(file).isDirectory()) setMode(file, DIRECTORY_FLAGS, mode)
      }
    } catch (error) {
      if (!isAbsence(error)) throw explainChange(path, error)
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
