import { toByteString, type ByteString } from '../../../filesystem/directory-handle.ts'
import { excludeFilter } from '../../exclude-filter.ts'
import type { Chunker } from '../../format/chunker.ts'
import { contentIdOf, type ContentId } from '../../format/content-id.ts'
import { knownStats } from '../known/known-stats.ts'
import { createNewFileFilter } from './new-file-limits.ts'
import { readLargeFilesAhead, WORTH_THREAD_BYTES, type LargeFilesAhead } from './large-files-ahead.ts'
import { MAX_BATCH_BYTES } from './reading-messages.ts'
import { createFileReading, type FileReading } from './read-files.ts'
import { hasChunk, isWhole, keepChunk, pauseSave, type SaveState } from './save-state.ts'
import { readFilesAhead } from './files-ahead.ts'
import { lookAhead, type LookAhead } from './look-ahead.ts'
import { walkDirectory, type FoundDirectory } from './walk-directory.ts'

/**
 * Files are read, and what was read is compressed, while the walk goes on: all cores have work from the beginning. Where
 * the job may turn out to be too large for its host, only a little is read before the walk is over.
 */
export async function walkAndRead(
  state: SaveState,
): Promise<{ found: FoundDirectory[]; reading: FileReading }> {
  const { job, host, known } = state
  const directory = toByteString(job.directory)
  const ahead = lookAhead(() => host.warmReadingThread(), known, directory)
  try {
    return await walkWith(state, directory, ahead)
  } finally {
    ahead?.stop()
  }
}

async function walkWith(
  state: SaveState,
  root: ByteString,
  ahead: LookAhead | null,
): Promise<{ found: FoundDirectory[]; reading: FileReading }> {
  const { job, host, known, cursor, notes } = state
  const walking = walkDirectory({
    cursor,
    directory: root,
    known: (path) => known.directories.get(path) ?? null,
    listed: (path) => job.listed?.directories.get(path) ?? null,
    ahead,
    isExcluded: excludeFilter(job.exclude),
    limitOf: createNewFileFilter(job.newFiles),
    notes,
  })
  const reading = createReading(state)
  // What the cache knows is in the store as long as it is the parent's own tree; else it must be looked up.
  const isSure = known.root === job.parent?.root && state.usable.size === job.parent.packs.length
  const work = { entries: 0, files: 0, unreadFiles: 0, unreadBytes: 0 }
  const later: FoundDirectory[] = []
  let step = walking.next()
  for (; step.done !== true; step = walking.next()) {
    const directory = step.value
    if (!isSure) forgetUnstored(state, directory)
    addWork(work, directory)
    host.onWalked(work.entries, work.unreadBytes)
    if (work.unreadBytes <= host.readAheadBytes) await reading.readUnlinked(directory)
    else later.push(directory)
    const turn = host.pause()
    if (turn !== undefined) await turn
  }
  const { progress } = state
  progress.filesExpected = work.files
  progress.filesDone += work.files - work.unreadFiles
  progress.bytesExpected = work.unreadBytes
  host.onProgress({ ...progress })
  for (const directory of later) await reading.readUnlinked(directory)
  await reading.settle()
  return { found: step.value, reading }
}

function forgetUnstored(state: SaveState, directory: FoundDirectory): void {
  const { known, entries } = directory
  entries.forEach((found, index) => {
    if (found.kind === 'directory' || found.kind === 'unread') return
    const { entry } = found
    if (entry.type !== 'file' || isWhole(state, entry)) return
    const ofKnown = known === null ? null : knownStats(known, index, entry)
    const stats = found.kind === 'leaf' ? found.stats : ofKnown
    if (stats !== null) entries[index] = { kind: 'unread', name: entry.name, stats }
    directory.isSame = false
  })
}

interface Work {
  entries: number
  files: number
  unreadFiles: number
  unreadBytes: number
}

function addWork(work: Work, directory: FoundDirectory): void {
  work.entries += directory.entries.length
  for (const entry of directory.entries) {
    if (entry.kind === 'directory') continue
    work.files += 1
    if (entry.kind !== 'unread') continue
    work.unreadFiles += 1
    work.unreadBytes += entry.stats.size
  }
}

function createReading(state: SaveState): FileReading {
  const { job, cursor, base, notes, progress, host, chunkers } = state
  /** Its memory is some MiB, which a save that reads nothing does without. */
  let chunker: Chunker | null = null
  let largeFiles: LargeFilesAhead | null = null
  let isThreadStarted = false
  const reader = {
    identify: (content: Uint8Array) => contentIdOf(content, job.keys),
    keep: (id: ContentId, content: Uint8Array) => {
      if (hasChunk(state, id)) return
      state.newBytes += content.length
      keepChunk(state, 'data', id, content)
    },
    pause: () => pauseSave(state),
    isHeld: (id: ContentId) => hasChunk(state, id),
    largeFiles(bytes: number, hasCuts: boolean) {
      if (bytes < (isThreadStarted && !hasCuts ? MAX_BATCH_BYTES : WORTH_THREAD_BYTES)) return null
      const thread = largeFiles === null ? host.readingThread() : null
      const first = reader.chunker.memory
      const second = thread === null || first === null ? null : chunkers.take().memory
      if (thread !== null && first !== null && second !== null)
        largeFiles = readLargeFilesAhead(thread, job.keys, [first, second])
      return largeFiles
    },
    get chunker() {
      return (chunker ??= chunkers.take())
    },
    cursor,
    directory: toByteString(job.directory),
  }
  return createFileReading({
    reader,
    base,
    isWhole: (file) => isWhole(state, file),
    notes,
    onRead(bytes) {
      progress.filesDone += 1
      progress.bytesDone += bytes
      host.onProgress({ ...progress })
    },
    readAhead() {
      const thread = host.readingThread()
      isThreadStarted = thread !== null
      return thread === null ? null : readFilesAhead(thread, job.keys)
    },
  })
}
