import { constants } from 'node:fs'
import type { ByteString } from '../../../filesystem/directory-handle.ts'
import type { TreeEntry } from '../../format/tree-node.ts'
import { joinPath, STATS_PER_ENTRY, type KnownDirectory, type KnownTree } from '../known/known-tree.ts'
import { LOOKED_FIELDS, lookedField as field, meeting } from './reading-messages.ts'
import type { ReadingThread } from './reading-thread.ts'

/** Looks at files and links that are known in another thread, from the last one back, while a walk comes from the first. */
export interface LookAhead {
  /**
   * Of a directory that the walk has come to: whether the entry at a place is the very file or link that is known, as it was, and
   * has no other name. `null` when it was not looked at yet: it is the walk's now.
   */
  untouchedIn(path: ByteString, known: KnownDirectory): ((index: number) => boolean) | null
  /** To be called when the walk is over, however it ended. */
  stop(): void
}

/** Of fewer entries, a walk has seen all before another thread has heard of them. */
const MIN_ENTRIES = 2000

/**
 * Sound because it can only confirm what is known: at an entry that does not look like that the walk looks itself.
 * @param takeThread asked only when there is enough to look at
 * @param base absolute path of the root
 */
export function lookAhead(
  takeThread: () => ReadingThread | null,
  known: KnownTree,
  base: ByteString,
): LookAhead | null {
  let rows = 0
  for (const { entries } of known.directories.values()) rows += entries.length
  const thread = rows < MIN_ENTRIES ? null : takeThread()
  if (thread === null) return null
  const starts = new Map<ByteString, { readonly place: number; readonly row: number }>()
  const lists: ByteString[] = []
  let row = 0
  for (const [path, entries] of inWalkOrder(known)) {
    starts.set(path, { place: lists.length, row })
    row += entries.length
    // Directories are the walk's.
    const names = entries.map(({ type, name }) => (type === 'directory' ? '' : name))
    lists.push([path === '' ? base : joinPath(base, path), ...names].join('\0'))
  }
  const seen = new BigInt64Array(new SharedArrayBuffer(row * LOOKED_FIELDS * 8))
  const state = new Int32Array(new SharedArrayBuffer(8))
  state[meeting.lookedFrom] = lists.length
  thread.send({ kind: 'look', lists, rows: seen, state }, () => undefined)
  const halves = halvesOf(seen)
  return {
    untouchedIn(path, { stats, entries }) {
      const start = starts.get(path)
      if (start === undefined) return null
      Atomics.store(state, meeting.walkedTo, start.place)
      if (Atomics.load(state, meeting.lookedFrom) > start.place) return null
      const knownHalves = halvesOf(stats)
      return (index) => {
        const first = (start.row + index) * LOOKED_FIELDS * 2
        return hasKnownStats(halves, first, knownHalves, index) && isKnownEntry(halves, first, entries[index])
      }
    },
    stop: () => void Atomics.store(state, meeting.walkedTo, lists.length),
  }
}

/** As a walk takes directories of which none has changed. */
function* inWalkOrder({ directories }: KnownTree): Generator<[ByteString, readonly TreeEntry[]], void, void> {
  const pending = ['']
  for (let path = pending.pop(); path !== undefined; path = pending.pop()) {
    const entries = directories.get(path)?.entries
    if (entries === undefined) continue
    yield [path, entries]
    for (let index = entries.length - 1; index >= 0; index -= 1) {
      const entry = entries[index]
      if (entry?.type === 'directory') pending.push(joinPath(path, entry.name))
    }
  }
}

/** Halves of the numbers: to take the whole ones out would allocate memory for each. */
function halvesOf({ buffer, byteOffset, length }: BigInt64Array): Int32Array {
  return new Int32Array(buffer, byteOffset, 2 * length)
}

function hasKnownStats(seen: Int32Array, first: number, known: Int32Array, index: number): boolean {
  const start = index * STATS_PER_ENTRY * 2
  for (let half = 0; half < STATS_PER_ENTRY * 2; half += 1)
    if (seen[first + half] !== known[start + half]) return false
  return true
}

/** By the lower halves where they come first; on other machines never true. */
function isKnownEntry(seen: Int32Array, first: number, entry: TreeEntry | undefined): boolean {
  if (entry === undefined || entry.type === 'directory') return false
  const mode = seen[first + 2 * field.mode] ?? 0
  if (seen[first + 2 * field.nlink] !== 1 || (mode & 0o7777) !== entry.mode) return false
  if (entry.type === 'symlink') return (mode & constants.S_IFMT) === constants.S_IFLNK
  const size = ((seen[first + 2 * field.size] ?? 0) >>> 0) + (seen[first + 2 * field.size + 1] ?? 0) * 2 ** 32
  return (mode & constants.S_IFMT) === constants.S_IFREG && size === entry.size
}
