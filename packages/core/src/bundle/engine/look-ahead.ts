import { constants } from 'node:fs'
import type { ByteString } from '../../filesystem/directory-handle.ts'
import type { EntryStats } from './file-stats.ts'
import type { TreeEntry } from '../format/tree-node.ts'
import { STATS_PER_ENTRY, type KnownDirectory, type KnownTree } from './known-tree.ts'
import { LOOKED_FIELDS, lookedField as field, meeting } from './reading-messages.ts'
import type { ReadingThread } from './reading-thread.ts'

/** Looks at entries that are known in another thread, from the last one back, while a walk comes from the first. */
export interface LookAhead {
  /** What was seen in a directory that the walk has come to; `null` when that was not looked at yet: it is the walk's now. */
  take(path: ByteString, known: KnownDirectory): LookedAt | null
  /** To be called when the walk is over, however it ended. */
  stop(): void
}

export interface LookedAt {
  /** Whether the entry at that place is the very file or link that is known, as it was, and has no other name. */
  isUntouched(index: number): boolean
  /** Of the entry at that place; the same object each time. `null` when nothing could be seen. */
  at(index: number): EntryStats | null
}

/** Of fewer entries, a walk has seen all before another thread has heard of them. */
const MIN_ENTRIES = 2000

/**
 * Sound because all that the walk does with it is to confirm what is known: an entry that does not look like that is
 * looked at again.
 * @param base absolute path of the root
 */
export function lookAhead(
  takeThread: () => ReadingThread | null,
  known: KnownTree,
  base: ByteString,
): LookAhead | null {
  const order = walkOrder(known)
  const starts = new Map<ByteString, { readonly place: number; readonly row: number }>()
  let rows = 0
  const lists = order.map((path, place) => {
    const names = known.directories.get(path)?.entries.map(({ name }) => name) ?? []
    starts.set(path, { place, row: rows })
    rows += names.length
    return [path === '' ? base : `${base}/${path}`, ...names].join('\0')
  })
  const thread = rows < MIN_ENTRIES ? null : takeThread()
  if (thread === null) return null
  const seen = new BigInt64Array(new SharedArrayBuffer(rows * LOOKED_FIELDS * 8))
  const state = new Int32Array(new SharedArrayBuffer(8))
  state[meeting.lookedFrom] = order.length
  thread.send({ kind: 'look', lists, rows: seen, state }, () => undefined)
  const stats = new SeenStats(seen)
  const seen32 = new Int32Array(seen.buffer)
  return {
    take(path, directory) {
      const start = starts.get(path)
      if (start === undefined) return null
      Atomics.store(state, meeting.walkedTo, start.place)
      if (Atomics.load(state, meeting.lookedFrom) > start.place) return null
      const known32 = halvesOf(directory.stats)
      return {
        isUntouched: (index) =>
          hasKnownRow(seen32, start.row + index, known32, index) &&
          isSameEntry(seen32, start.row + index, directory.entries[index]),
        at: (index) => (stats.goTo(start.row + index) ? stats : null),
      }
    },
    stop: () => void Atomics.store(state, meeting.walkedTo, order.length),
  }
}

/** As a walk takes directories of which none has changed. */
function walkOrder({ directories }: KnownTree): ByteString[] {
  const order: ByteString[] = []
  const pending = ['']
  for (let path = pending.pop(); path !== undefined; path = pending.pop()) {
    const entries = directories.get(path)?.entries
    if (entries === undefined) continue
    order.push(path)
    for (let index = entries.length - 1; index >= 0; index -= 1) {
      const entry = entries[index]
      if (entry?.type === 'directory') pending.push(path === '' ? entry.name : `${path}/${entry.name}`)
    }
  }
  return order
}

/** Halves of the numbers: to take the whole ones out would allocate memory for each. */
function halvesOf({ buffer, byteOffset, length }: BigInt64Array): Int32Array {
  return new Int32Array(buffer, byteOffset, 2 * length)
}

function hasKnownRow(seen: Int32Array, row: number, known: Int32Array, index: number): boolean {
  const first = row * LOOKED_FIELDS * 2
  const start = index * STATS_PER_ENTRY * 2
  for (let half = 0; half < STATS_PER_ENTRY * 2; half += 1)
    if (seen[first + half] !== known[start + half]) return false
  return true
}

/** By the lower halves where they come first; elsewhere never true, and `at` is asked. */
function isSameEntry(seen: Int32Array, row: number, entry: TreeEntry | undefined): boolean {
  if (entry === undefined || entry.type === 'directory') return false
  const first = row * LOOKED_FIELDS * 2
  const mode = seen[first + 2 * field.mode] ?? 0
  if (seen[first + 2 * field.nlink] !== 1 || (mode & 0o7777) !== entry.mode) return false
  if (entry.type === 'symlink') return (mode & constants.S_IFMT) === constants.S_IFLNK
  const size = ((seen[first + 2 * field.size] ?? 0) >>> 0) + (seen[first + 2 * field.size + 1] ?? 0) * 2 ** 32
  return (mode & constants.S_IFMT) === constants.S_IFREG && size === entry.size
}

/** One row after the other, as Node shows it. */
class SeenStats implements EntryStats {
  readonly #rows: BigInt64Array
  #start = 0

  constructor(rows: BigInt64Array) {
    this.#rows = rows
  }

  /** False for an entry of which nothing was seen. */
  goTo(row: number): boolean {
    this.#start = row * LOOKED_FIELDS
    return this.mode !== 0n
  }

  get dev(): bigint {
    return this.#number(field.dev)
  }

  get ino(): bigint {
    return this.#number(field.ino)
  }

  get ctimeNs(): bigint {
    return this.#number(field.ctimeNs)
  }

  get mtimeNs(): bigint {
    return this.#number(field.mtimeNs)
  }

  get mode(): bigint {
    return this.#number(field.mode)
  }

  get size(): bigint {
    return this.#number(field.size)
  }

  get nlink(): bigint {
    return this.#number(field.nlink)
  }

  isDirectory(): boolean {
    return this.#isType(constants.S_IFDIR)
  }

  isFile(): boolean {
    return this.#isType(constants.S_IFREG)
  }

  isSymbolicLink(): boolean {
    return this.#isType(constants.S_IFLNK)
  }

  #isType(type: number): boolean {
    return (Number(this.mode) & constants.S_IFMT) === type
  }

  #number(place: number): bigint {
    return this.#rows[this.#start + place] ?? 0n
  }
}
