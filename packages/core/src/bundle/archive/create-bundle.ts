import { readdirSync, statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { describeValue } from '../../describe-value.ts'
import { WorkspaceError } from '../../errors.ts'
import { assertKnownOptions } from '../../known-options.ts'
import { createBundleOptionNames } from './archive-option-names.ts'
import { toByteString } from '../../filesystem/directory-handle.ts'
import { toWorkspaceError } from '../../filesystem/filesystem-error.ts'
import { recoverDirectory } from '../../filesystem/work-directory.ts'
import type { BlockPool } from './archive-blocks.ts'
import { archiveDirectory } from './archive-directory.ts'
import { archiveReport, emptyNotes, type ArchiveNotes } from './archive-notes.ts'
import type { Bundle, BundleFormat, BundleReport, CreateBundleOptions } from '../bundle.ts'
import { excludeFilter } from '../exclude-filter.ts'
import { compressBlocks } from './frame-compressor.ts'
import { hasBundleThread, runInWorker } from './run-in-worker.ts'
import type { CreateTask } from './worker-task.ts'

/** A thread takes 25 ms to start; below this many entries the work is done before it would be there. */
const ENTRIES_WORTH_A_THREAD = 800

const levels: Record<BundleFormat, { readonly max: number; readonly usual: number }> = {
  'tar.zst': { max: 19, usual: 3 },
  'tar.gz': { max: 9, usual: 6 },
}

/**
 * Archives a directory as a stream that GNU tar reads: tar in the POSIX (PAX) format, compressed with zstd or gzip.
 *
 * - Everything goes in that is not named by `exclude`: empty directories, links as the text they are (dangling,
 *   absolute and looping ones too), hard links as hard links, permission bits, times to the nanosecond, names of any
 *   bytes. Owners do not: the archive says user 0.
 * - No link is ever followed, so nothing from outside the directory goes in. On Linux this holds also while another
 *   process swaps directories for links; elsewhere such a swap is a race that remains.
 * - Sockets, pipes, devices, files that cannot be read or vanish meanwhile, and what has a path of 64 KiB or more are in
 *   the report; they never fail or block the archive. A file that changes while it is read is read again, at last cut or padded to the length that its header
 *   says, and reported.
 * - The same directory gives the same bytes. Memory stays flat. The work is done in a thread, except for small
 *   directories.
 *
 * Nothing happens before the first read. Stopping the iteration or aborting frees everything.
 *
 * @throws `INVALID_INPUT` at once for options that cannot be used.
 * The iteration throws `NOT_FOUND` when there is no such directory, `INVALID_INPUT` when it is not a directory and
 * `ACCESS_DENIED` when it cannot be opened, all before the first byte.
 */
export function createBundle(directory: string, options: CreateBundleOptions = {}): Bundle {
  assertKnownOptions('createBundle', options, createBundleOptionNames)
  const { format = 'tar.zst', exclude = [] } = options
  const range = Object.hasOwn(levels, format) ? levels[format] : undefined
  if (range === undefined) {
    throw invalid(`The bundle format ${describeValue(format)} is unknown: use "tar.zst" or "tar.gz".`)
  }
  const { level = range.usual } = options
  if (!Number.isInteger(level) || level < 1 || level > range.max) {
    throw invalid(
      `The compression level ${describeValue(level)} is not usable: ${format} takes 1 to ${range.max}.`,
    )
  }
  if (typeof directory !== 'string' || directory === '')
    throw invalid('A bundle is made of a directory; its path is missing.')
  excludeFilter(exclude)
  let report: BundleReport | undefined
  let isTaken = false
  const path = resolve(directory)
  return {
    async *[Symbol.asyncIterator]() {
      if (isTaken) throw invalid('This bundle was read already. Make a new one with createBundle.')
      isTaken = true
      const task: CreateTask = { kind: 'create', directory: toByteString(path), exclude, format, level }
      report = yield* produce(path, task, options)
    },
    report() {
      if (report === undefined) throw invalid('The report is there after the bundle was read to its end.')
      return report
    },
  }
}

async function* produce(
  path: string,
  task: CreateTask,
  options: CreateBundleOptions,
): AsyncGenerator<Uint8Array, BundleReport, void> {
  const { onProgress, signal } = options
  signal?.throwIfAborted()
  try {
    await recoverDirectory(path)
    if (!statSync(path).isDirectory()) {
      throw invalid(`Cannot archive ${JSON.stringify(path)}: it is not a directory.`)
    }
    if (hasBundleThread() && !isSmall(path))
      return (yield* runInWorker(task, { onProgress, signal })) as BundleReport
    return yield* produceHere(task, options)
  } catch (error) {
    throw toWorkspaceError(error, 'archive', path)
  }
}

async function* produceHere(
  task: CreateTask,
  { onProgress, signal }: CreateBundleOptions,
): AsyncGenerator<Uint8Array, BundleReport, void> {
  const notes: ArchiveNotes = emptyNotes()
  const pool: BlockPool = []
  let archiveBytes = 0
  const blocks = archiveDirectory(task.directory, task.exclude, notes, pool)
  for await (const chunk of compressBlocks(blocks, task.format, task.level, pool)) {
    signal?.throwIfAborted()
    archiveBytes += chunk.length
    const { files, directories, symlinks, hardLinks, contentBytes } = notes.totals
    onProgress?.({
      phase: 'create',
      entries: files + directories + symlinks + hardLinks,
      bytes: contentBytes,
    })
    yield chunk
    signal?.throwIfAborted()
  }
  return archiveReport(notes, archiveBytes)
}

function isSmall(path: string): boolean {
  let seen = 0
  const queue = [path]
  for (let directory = queue.pop(); directory !== undefined; directory = queue.pop()) {
    try {
      for (const entry of readdirSync(directory, { withFileTypes: true })) {
        seen += 1
        if (seen > ENTRIES_WORTH_A_THREAD) return false
        if (entry.isDirectory()) queue.push(join(directory, entry.name))
      }
    } catch {
      // Only an estimate: the archive itself reports what cannot be read.
    }
  }
  return true
}

function invalid(message: string): WorkspaceError {
  return new WorkspaceError('INVALID_INPUT', message)
}
