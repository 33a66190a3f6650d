import { chmodSync, existsSync, mkdirSync, statSync, utimesSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { describeValue } from '../../describe-value.ts'
import { WorkspaceError } from '../../errors.ts'
import { assertKnownOptions } from '../../known-options.ts'
import { openArchive, readAhead } from './archive-input.ts'
import { extractBundleOptionNames, extractLimitNames } from './archive-option-names.ts'
import { closeDirectory, openRoot, toByteString } from '../../filesystem/directory-handle.ts'
import { findUnremovable, unremovable } from '../../filesystem/find-unremovable.ts'
import { toWorkspaceError } from '../../filesystem/filesystem-error.ts'
import { refusePermissionModel } from '../../filesystem/permission-model.ts'
import { removeEmptyDirectories } from '../../filesystem/remove-empty-directories.ts'
import { mergeTree } from '../../filesystem/merge-tree.ts'
import { swapDirectory } from '../../filesystem/swap-directory.ts'
import {
  createWorkDirectory,
  recoverDirectory,
  resolveTarget,
  type WorkDirectory,
} from '../../filesystem/work-directory.ts'
import { timeSlice } from '../../filesystem/time-slice.ts'
import { refuseHome } from '../../filesystem/workspace-root.ts'
import type { ExtractBundleOptions, ExtractLimits, ExtractReport } from '../bundle.ts'
import type { ResolvedLimits } from './entry-policy.ts'
import { extractArchive, type ExtractPlan, type ExtractedArchive } from './extract-archive.ts'
import { extractInThreads } from './extract-in-threads.ts'
import { hasBundleThread } from './run-in-worker.ts'
import { fileTime } from './write-file.ts'

const GIBIBYTE = 1024 ** 3

/**
 * Puts an archive (tar.zst or tar.gz, made by `createBundle` or by GNU tar) into a directory, which is created when it
 * is absent.
 *
 * - **Nothing outside the directory is written**, whatever the archive says: it is unpacked into a private directory
 *   on the same file system by a strict reader, without ever following a link, and moved in only when all of it was
 *   read and checked.
 * - **All or nothing** with `mode: 'exact'`: any error, abort or limit leaves the directory as it was. A full directory
 *   is replaced by two renames; a process killed exactly between them leaves nothing at the path until the next
 *   `extractBundle` or `createBundle` of that path puts the old content back. A directory that cannot be renamed (a
 *   mount point, the working directory of this process, a closed parent) or should not be (`keepDirectory`) has its
 *   entries exchanged one by one instead; if that is cut short, the next call ends it. A crash of the machine
 *   is not covered: nothing is flushed to the disk, so files that were extracted in the seconds before it may come back
 *   empty or short under their names. Whoever must survive that runs `sync -f` on the directory, or extracts again.
 * - `mode: 'merge'` checks the whole archive first too, then moves its entries in one at a time; a failure in between
 *   leaves some of them moved. Links and files in the way are replaced, never followed.
 * - Comes back: content, permission bits (whatever the umask), times to the microsecond, links as text, hard links,
 *   empty directories, holes. Does not: owners; set-uid, set-gid and sticky bits (reported as `changed`); devices and
 *   pipes (reported as `skipped`). A later entry of the same name replaces an earlier one, in the untrusted profile it
 *   refuses the archive.
 * - `untrusted` also refuses names that some system would take for something else (control characters, backslashes,
 *   device names, names that differ in case or Unicode form only) and leaves out `.git`.
 *
 * What the bundle itself throws comes back as it is.
 *
 * @throws `INVALID_INPUT` when it is neither tar.zst nor tar.gz, or the path is not a directory; for `exact` into
 * the home directory, one above it or the root of a file system
 * @throws `CORRUPT` when it is damaged, cut off, or followed by something
 * @throws `UNSAFE_PATH` when an entry would lead elsewhere; details hold `entry`
 * @throws `QUOTA_EXCEEDED` for a limit or a full disk
 * @throws `CONFLICT` when merging would have to remove a directory that is not empty
 * @throws `ACCESS_DENIED` and `UNSUPPORTED` as the file system says; for `exact`, also where a directory of somebody else
 * would have to go that this user cannot empty
 */
export async function extractBundle(
  bundle: AsyncIterable<Uint8Array> | Uint8Array,
  directory: string,
  options: ExtractBundleOptions = {},
): Promise<ExtractReport> {
  assertKnownOptions('extractBundle', options, extractBundleOptionNames)
  const { mode = 'exact', profile = 'trusted', keepDirectory = false, signal } = options
  const { secondReader: isReadTwice = profile === 'untrusted' } = options
  if (mode !== 'exact' && mode !== 'merge') throw invalid(`The mode ${describeValue(mode)} is unknown.`)
  if (profile !== 'trusted' && profile !== 'untrusted') {
    throw invalid(`The profile ${describeValue(profile)} is unknown.`)
  }
  if (typeof directory !== 'string' || directory === '')
    throw invalid('The directory to extract into is missing.')
  refusePermissionModel('To extract a bundle')
  const limits = resolveLimits(profile, options.limits)
  signal?.throwIfAborted()
  const input = openArchive(bundle, signal)
  const given = resolve(directory)
  try {
    await recoverDirectory(given)
    const target = resolveTarget(given)
    if (mode === 'exact') refuseHome(target)
    const umask = process.umask()
    return await withWorkDirectory(target, keepDirectory || isWorkingDirectory(target), async (work) => {
      const root = toByteString(join(work.path, 'new'))
      if (mode === 'exact') await refuseUnremovable(target, signal)
      const archive = await unpack(input.chunks, { root, profile, limits, umask, isReadTwice }, options)
      signal?.throwIfAborted()
      if (mode === 'merge' && existsSync(target)) return merge(work, archive, options)
      return replace(work, archive, keepDirectory || isWorkingDirectory(target), umask)
    })
  } catch (error) {
    throw input.hasThrown(error) ? error : toWorkspaceError(error, 'extract into', given)
  } finally {
    input.close()
  }
}

/**
 * Reads an archive to its end with all checks of `extractBundle`, without writing anything, and with a second reader
 * that must find the same members in it.
 * @throws as `extractBundle` does
 */
export async function checkBundle(
  bundle: AsyncIterable<Uint8Array> | Uint8Array,
  options: ExtractBundleOptions = {},
): Promise<ExtractReport> {
  assertKnownOptions('checkBundle', options, extractBundleOptionNames)
  const { profile = 'trusted', secondReader: isReadTwice = true, signal } = options
  const limits = resolveLimits(profile, options.limits)
  const input = openArchive(bundle, signal)
  try {
    return (await unpack(input.chunks, { root: null, profile, limits, umask: 0, isReadTwice }, options))
      .report
  } finally {
    input.close()
  }
}

async function withWorkDirectory<T>(
  target: string,
  isInside: boolean,
  use: (work: WorkDirectory) => Promise<T>,
): Promise<T> {
  const exists = existsSync(target)
  if (exists && !statSync(target).isDirectory()) {
    throw invalid(`Cannot extract into ${JSON.stringify(target)}: it is not a directory.`)
  }
  const firstMade = mkdirSync(dirname(target), { recursive: true })
  let work: WorkDirectory | undefined
  try {
    work = createWorkDirectory(target, isInside && exists)
    return await use(work)
  } catch (error) {
    // Old content that could not be put back stays for the next call to recover.
    if (work?.holdsOldContent() !== true) await work?.remove()
    work = undefined
    if (firstMade !== undefined) removeEmptyDirectories(dirname(target), firstMade)
    throw error
  } finally {
    await work?.remove()
  }
}

/** What is there goes when the new content is in its place: too late to learn that it cannot. */
async function refuseUnremovable(target: string, signal: AbortSignal | undefined): Promise<void> {
  if (!existsSync(target)) return
  const handle = openRoot(toByteString(target))
  try {
    const path = await findUnremovable(handle, timeSlice(signal))
    if (path !== null) throw unremovable('extract', path === '' ? toByteString(target) : path)
  } finally {
    closeDirectory(handle)
  }
}

async function unpack(
  input: AsyncIterator<Uint8Array>,
  plan: ExtractPlan,
  options: ExtractBundleOptions,
): Promise<ExtractedArchive> {
  const { signal, onProgress } = options
  const { chunks, isWhole } = await readAhead(input)
  if (isWhole || !hasBundleThread()) return extractArchive(chunks, plan, { signal, onProgress })
  return extractInThreads(chunks, plan, { signal, onProgress })
}

function replace(
  work: WorkDirectory,
  { report, root }: ExtractedArchive,
  keepDirectory: boolean,
  umask: number,
): ExtractReport {
  const { target } = work
  const exists = existsSync(target)
  const previousMode = exists ? statSync(target).mode & 0o777 : 0o777 & ~umask
  const mode = root?.mode ?? previousMode
  swapDirectory(work.path, target, exists && (keepDirectory || work.isInside))
  // Somebody must be able to get in again, whatever the archive says.
  chmodSync(target, mode | 0o700)
  if (root !== null) utimesSync(target, fileTime(root.mtime), fileTime(root.mtime))
  if ((mode | 0o700) === mode) return report
  const changed = { path: '.', reason: "the owner's permissions are kept on the directory itself" }
  return { ...report, changed: [...report.changed, changed] }
}

async function merge(
  work: WorkDirectory,
  { report, impliedDirectories }: ExtractedArchive,
  { signal }: ExtractBundleOptions,
): Promise<ExtractReport> {
  const implied = new Set(impliedDirectories)
  const source = openRoot(toByteString(join(work.path, 'new')))
  try {
    const destination = openRoot(toByteString(work.target))
    try {
      await mergeTree(source, destination, { isImplied: (path) => implied.has(path), signal })
    } finally {
      closeDirectory(destination)
    }
  } finally {
    closeDirectory(source)
  }
  return report
}

function resolveLimits(profile: 'trusted' | 'untrusted', limits: ExtractLimits = {}): ResolvedLimits {
  assertKnownOptions('limits', limits, extractLimitNames)
  const resolved = {
    maxArchiveBytes: limits.maxArchiveBytes ?? 64 * GIBIBYTE,
    maxContentBytes: limits.maxContentBytes ?? 256 * GIBIBYTE,
    maxFileBytes: limits.maxFileBytes ?? 256 * GIBIBYTE,
    maxEntries: limits.maxEntries ?? 5_000_000,
    maxRatio: limits.maxRatio ?? (profile === 'trusted' ? Number.POSITIVE_INFINITY : 2_000),
    maxDepth: limits.maxDepth ?? 4_096,
  }
  for (const [name, value] of Object.entries(resolved)) {
    if (typeof value !== 'number' || !(value >= 0))
      throw invalid(`The limit ${name} must be a number from 0 on.`)
  }
  return resolved
}

function isWorkingDirectory(target: string): boolean {
  return `${process.cwd()}/`.startsWith(target === '/' ? '/' : `${target}/`)
}

function invalid(message: string): WorkspaceError {
  return new WorkspaceError('INVALID_INPUT', message)
}
