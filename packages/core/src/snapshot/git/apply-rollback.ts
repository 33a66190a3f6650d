import { randomBytes } from 'node:crypto'
import {
  chmodSync,
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  lchownSync,
  mkdirSync,
  openSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  rmdirSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
  writeSync,
  type BigIntStats,
} from 'node:fs'
import { join } from 'node:path'
import { WorkspaceError } from '../../errors.ts'
import { compareBytes, fromBytePath, joinPath, parentOf, pathResolver, type BytePath } from './byte-path.ts'
import { lstatOrNull } from './file-stamp.ts'
import type { RollbackPlan } from './plan-rollback.ts'
import { readBlobs, type PrivateRepository } from './private-repository.ts'
import { explainLoss } from './explain-loss.ts'

interface Place {
  /** Real path of the workspace. */
  readonly path: string
  readonly own: PrivateRepository
}

/**
 * Carries a plan out: removals first, then directories, then files (each written beside its place and renamed into
 * it), then modes. It stops at the first failure; the caller makes good what was done until then.
 */
export async function applyRollback(place: Place, plan: RollbackPlan, signal?: AbortSignal): Promise<void> {
  const resolve = pathResolver(place.path)
  // Some of them may not let anybody in as they are.
  for (const { path, mode } of plan.directoryModes.toSorted((a, b) => compareBytes(a.path, b.path)))
    changeDirectoryMode(place, path, mode | 0o700)
  for (const path of [...plan.removals].toReversed()) {
    assertRealParents(place, path)
    unlinkSync(resolve(path))
    removeEmptyParents(place, path, plan.targetDirectories)
  }
  for (const path of [...plan.directoryRemovals].toReversed()) {
    assertRealParents(place, path)
    rmdirSync(resolve(path))
    removeEmptyParents(place, path, plan.targetDirectories)
  }
  for (const { path } of plan.directories) ensureDirectory(place, path)
  await writeFiles(place, plan, signal)
  for (const { path, mode } of plan.modeChanges) changeMode(place, path, mode)
  // Deepest first: a directory may lose the permission to look into it.
  for (const { path, mode } of [...plan.directories, ...plan.directoryModes].toSorted((a, b) =>
    compareBytes(b.path, a.path),
  )) {
    changeDirectoryMode(place, path, mode)
  }
}

/** Leaves alone what is no directory of the workspace. */
function changeDirectoryMode(place: Place, path: BytePath, mode: number): void {
  if (!hasRealParents(place, joinPath(path, '.'))) return
  const target = pathResolver(place.path)(path)
  if (Number((lstatOrNull(target)?.mode ?? 0n) & 0o7777n) !== mode) chmodSync(target, mode)
}

async function writeFiles(place: Place, plan: RollbackPlan, signal?: AbortSignal): Promise<void> {
  if (plan.writes.length === 0) return
  const prefix = `.ws-rollback-${randomBytes(8).toString('hex')}-`
  const parents = [...new Set(plan.writes.map(({ path }) => parentOf(path)))]
  for (const parent of parents) ensureDirectory(place, parent)
  const journal = journalPath(place.own)
  writeFileSync(journal, JSON.stringify({ prefix, parents }), { mode: 0o600 })
  const ids = plan.writes.map(({ side }) => side.id)
  let reached = 0
  const write = async (index: number, content: AsyncIterable<Uint8Array>) => {
    const next = plan.writes[index]
    if (next === undefined) return
    const { path, side } = next
    const temporary = joinPath(parentOf(path), `${prefix}${index}`)
    assertRealParents(place, path)
    if (side.type === 'symlink') await makeLink(place, temporary, path, content)
    else await makeFile(place, temporary, path, side.mode, content)
    const there = lstatOrNull(pathResolver(place.path)(path))
    if (there?.isDirectory() === true) removeEmptyTree(place, path)
    assertRealParents(place, path)
    renameSync(pathResolver(place.path)(temporary), pathResolver(place.path)(path))
  }
  try {
    await readBlobs(
      place.own,
      ids,
      async (index, _size, content) => {
        reached = index
        await write(index, content)
        reached = index + 1
      },
      signal,
    )
  } catch (error) {
    throw await explainLoss(place.own, plan.writes[reached]?.path ?? null, error)
  }
  rmSync(journal, { force: true })
}

/** Removes the files that a killed rollback was writing. Call it under the workspace's lock. */
export function sweepInterruptedRollback(place: Place): void {
  const journal = journalPath(place.own)
  let text: string
  try {
    text = readFileSync(journal, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return
    throw error
  }
  const resolve = pathResolver(place.path)
  const { prefix, parents } = parseJournal(text)
  for (const parent of parents) {
    if (prefix === '' || !hasRealParents(place, joinPath(parent, '.'))) continue
    for (const name of readdirSync(resolve(parent), { encoding: 'latin1' as BufferEncoding })) {
      if (name.startsWith(prefix)) unlinkSync(resolve(joinPath(parent, name)))
    }
  }
  rmSync(journal, { force: true })
}

/** A journal that is not whole was being written when no file was yet. */
function parseJournal(text: string): { prefix: string; parents: BytePath[] } {
  try {
    return JSON.parse(text) as { prefix: string; parents: BytePath[] }
  } catch {
    return { prefix: '', parents: [] }
  }
}

function journalPath(own: PrivateRepository): string {
  return join(own.directory, 'rollback')
}

async function makeFile(
  place: Place,
  temporary: BytePath,
  path: BytePath,
  mode: number,
  content: AsyncIterable<Uint8Array>,
): Promise<void> {
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW
  const file = openSync(pathResolver(place.path)(temporary), flags, 0o600)
  try {
    for await (const chunk of content) {
      for (let done = 0; done < chunk.length;) done += writeSync(file, chunk, done)
    }
    const owner = formerOwner(place, path)
    if (owner !== null) fchownSync(file, Number(owner.uid), Number(owner.gid))
    fchmodSync(file, mode)
  } finally {
    closeSync(file)
  }
}

async function makeLink(
  place: Place,
  temporary: BytePath,
  path: BytePath,
  content: AsyncIterable<Uint8Array>,
): Promise<void> {
  const parts: Uint8Array[] = []
  for await (const chunk of content) parts.push(chunk)
  const target = pathResolver(place.path)(temporary)
  symlinkSync(Buffer.concat(parts), target)
  const owner = formerOwner(place, path)
  if (owner !== null) lchownSync(target, Number(owner.uid), Number(owner.gid))
}

/** When root rolls another user's workspace back, the files stay that user's. */
function formerOwner(place: Place, path: BytePath): BigIntStats | null {
  if (process.getuid?.() !== 0) return null
  const resolve = pathResolver(place.path)
  return lstatOrNull(resolve(path)) ?? lstatOrNull(resolve(parentOf(path)))
}

function changeMode(place: Place, path: BytePath, mode: number): void {
  assertRealParents(place, path)
  const target = pathResolver(place.path)(path)
  if (lstatOrNull(target)?.isFile() !== true) throw changed(path)
  try {
    const file = openSync(target, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
    try {
      fchmodSync(file, mode)
    } finally {
      closeSync(file)
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EACCES') throw error
    chmodSync(target, mode)
  }
}

function ensureDirectory(place: Place, path: BytePath): void {
  if (path === '') return
  ensureDirectory(place, parentOf(path))
  const target = pathResolver(place.path)(path)
  const stats = lstatOrNull(target)
  if (stats === null) {
    mkdirSync(target)
    const owner = formerOwner(place, parentOf(path))
    if (owner !== null) lchownSync(target, Number(owner.uid), Number(owner.gid))
  } else if (!stats.isDirectory()) throw changed(path)
}

/** No further than the directories of the target, and never what holds anything. */
function removeEmptyParents(place: Place, path: BytePath, keep: ReadonlySet<BytePath>): void {
  const resolve = pathResolver(place.path)
  for (let parent = parentOf(path); parent !== '' && !keep.has(parent); parent = parentOf(parent)) {
    try {
      rmdirSync(resolve(parent))
    } catch {
      return
    }
  }
}

/** For a directory that a file replaces: the preflight has seen that nothing but directories would be left in it. */
function removeEmptyTree(place: Place, path: BytePath): void {
  const resolve = pathResolver(place.path)
  for (const item of readdirSync(resolve(path), { encoding: 'buffer', withFileTypes: true })) {
    if (item.isDirectory()) removeEmptyTree(place, joinPath(path, item.name.toString('latin1')))
  }
  rmdirSync(resolve(path))
}

/** A link anywhere above a path would lead the write out of the workspace. */
function hasRealParents(place: Place, path: BytePath): boolean {
  const resolve = pathResolver(place.path)
  for (let parent = parentOf(path); parent !== ''; parent = parentOf(parent)) {
    if (lstatOrNull(resolve(parent))?.isDirectory() !== true) return false
  }
  return true
}

function assertRealParents(place: Place, path: BytePath): void {
  if (!hasRealParents(place, path)) throw changed(path)
}

function changed(path: BytePath): WorkspaceError {
  const shown = fromBytePath(path)
  return new WorkspaceError(
    'CONFLICT',
    `${JSON.stringify(shown)} changed while the rollback was at work. Stop what changes it, then roll back again.`,
    {
      details: { paths: [shown] },
    },
  )
}
