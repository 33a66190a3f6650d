import { readFileSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { deserialize, serialize } from 'node:v8'
import { crc32 } from 'node:zlib'
import { join } from 'node:path'
import type { BytePath } from './byte-path.ts'
import type { HeadState } from './user-repository.ts'
import { temporaryPath, type PrivateRepository } from './private-repository.ts'

/** What the file system said about a path when its content was read. */
export interface FileStamp {
  /** Type and permission bits (`st_mode`). */
  readonly mode: number
  readonly size: number
  readonly inode: bigint
  readonly mtimeNs: bigint
  readonly ctimeNs: bigint
}

export interface CapturedEntry extends FileStamp {
  readonly id: string
  /** False when the content may have changed after it was read without moving the stamp; such an entry is read again. */
  readonly settled: boolean
}

export interface CapturedDirectory extends FileStamp {
  readonly settled: boolean
  /** Directories in it, ignored ones and other repositories included. */
  readonly children: readonly BytePath[]
  readonly special: readonly BytePath[]
  readonly hasIgnoreFile: boolean
}

/** Everything that the next capture of the same directory can build on. Losing it costs time only. */
export interface CaptureState {
  readonly tree: string
  readonly sidecar: string | null
  /** Files and links, sorted. */
  readonly entries: Map<BytePath, CapturedEntry>
  /** Directories that were looked into; the workspace itself is the empty path. */
  readonly directories: Map<BytePath, CapturedDirectory>
  readonly leafDirectories: ReadonlyMap<BytePath, number>
  /** Trees that the private repository holds. */
  readonly knownTrees: Set<string>
  /** What git listed, by its ignore rules as they were. */
  readonly listed: Set<BytePath>
  readonly ignored: readonly BytePath[]
  readonly nested: readonly BytePath[]
  readonly unreadableDirectories: readonly BytePath[]
  readonly ignoreStamp: string
  readonly indexStamp: string
  /** Paths of the user's index that git did not list: absent, or tracked although ignored. */
  readonly trackedUnlisted: readonly BytePath[]
  readonly head: HeadState
  /** Whether the tree differed from HEAD's, and for which pair that was found. */
  readonly dirty: { readonly key: string; readonly value: boolean } | null
}

const FORMAT = 2
const HEADER_BYTES = 8

/**
 * Timestamps move in steps of the kernel's clock tick (up to 10 ms), or of up to 2 seconds on file systems without
 * fractions. A change within the step of the last read can hide; what is younger than this is not settled.
 */
export function isSettled(stamp: Pick<FileStamp, 'ctimeNs'>, readAtNs: bigint): boolean {
  const step = stamp.ctimeNs % 1_000_000_000n === 0n ? 2_100_000_000n : 50_000_000n
  return stamp.ctimeNs + step < readAtNs
}

export function isSameStamp(left: FileStamp, right: FileStamp): boolean {
  return (
    left.ctimeNs === right.ctimeNs &&
    left.mtimeNs === right.mtimeNs &&
    left.inode === right.inode &&
    left.size === right.size &&
    left.mode === right.mode
  )
}

export interface CaptureStateFile {
  load(): CaptureState | null
  save(state: CaptureState): void
}

/** Keeps the state in memory too, as long as no other process has replaced the file. Use it under the lock. */
export function captureStateFile(repository: PrivateRepository): CaptureStateFile {
  const path = join(repository.directory, 'state')
  let held: { readonly state: CaptureState; readonly version: string } | null = null
  const version = () => {
    const info = statSync(path, { bigint: true, throwIfNoEntry: false })
    return info === undefined ? '' : `${info.ino}:${info.size}:${info.mtimeNs}:${info.ctimeNs}`
  }
  return {
    load() {
      const current = version()
      if (current === '') return null
      if (held?.version === current) return held.state
      const state = decode(readFileSync(path))
      held = state === null ? null : { state, version: current }
      return state
    },
    save(state) {
      if (held?.state === state) return
      const temporary = temporaryPath(repository)
      writeFileSync(temporary, encode(state), { mode: 0o600, flag: 'wx' })
      renameSync(temporary, path)
      held = { state, version: version() }
    },
  }
}

function encode(state: CaptureState): Buffer {
  const { entries, directories, listed, ...rest } = state
  const body = serialize({
    ...rest,
    entries: toColumns(entries),
    directories: toDirectoryColumns(directories),
    listed: [...listed].join('\0'),
  })
  const header = Buffer.alloc(HEADER_BYTES)
  header.writeUInt32LE(FORMAT, 0)
  header.writeUInt32LE(crc32(body), 4)
  return Buffer.concat([header, body])
}

function decode(bytes: Buffer): CaptureState | null {
  const body = bytes.subarray(HEADER_BYTES)
  if (bytes.length < HEADER_BYTES || bytes.readUInt32LE(0) !== FORMAT) return null
  if (bytes.readUInt32LE(4) !== crc32(body)) return null
  try {
    const stored = deserialize(body) as Omit<CaptureState, 'entries' | 'directories' | 'listed'> & {
      entries: Columns & { ids: string }
      directories: Columns & { details: Pick<CapturedDirectory, 'children' | 'special' | 'hasIgnoreFile'>[] }
      listed: string
    }
    const { entries, directories } = stored
    const ids = split(entries.ids)
    return {
      ...stored,
      entries: fromColumns(entries, (row) => ({ id: ids[row] ?? '' })),
      directories: fromColumns(
        directories,
        (row) => directories.details[row] ?? { children: [], special: [], hasIgnoreFile: false },
      ),
      listed: new Set(split(stored.listed)),
    }
  } catch {
    return null
  }
}

/** One typed array for each field: serializing ten thousand objects one by one would take longer than the capture. */
interface Columns {
  readonly paths: string
  readonly numbers: Float64Array
  readonly times: BigInt64Array
}

type Stamped = FileStamp & { readonly settled: boolean }

function stampColumns(rows: ReadonlyMap<BytePath, Stamped>): Columns {
  const numbers = new Float64Array(rows.size * 3)
  const times = new BigInt64Array(rows.size * 3)
  let at = 0
  for (const row of rows.values()) {
    numbers[at] = row.mode
    numbers[at + 1] = row.size
    numbers[at + 2] = row.settled ? 1 : 0
    times[at] = row.inode
    times[at + 1] = row.mtimeNs
    times[at + 2] = row.ctimeNs
    at += 3
  }
  return { paths: [...rows.keys()].join('\0'), numbers, times }
}

function toColumns(entries: ReadonlyMap<BytePath, CapturedEntry>): Columns & { ids: string } {
  return { ...stampColumns(entries), ids: Array.from(entries.values(), (entry) => entry.id).join('\0') }
}

function toDirectoryColumns(directories: ReadonlyMap<BytePath, CapturedDirectory>) {
  const details = Array.from(directories.values(), ({ children, special, hasIgnoreFile }) => ({
    children,
    special,
    hasIgnoreFile,
  }))
  // The leading separator keeps a lone empty path (the workspace itself) apart from no path at all.
  const columns = stampColumns(directories)
  return { ...columns, paths: `\0${columns.paths}`, details }
}

function fromColumns<T>(columns: Columns, rest: (row: number) => T): Map<BytePath, Stamped & T> {
  const paths = columns.paths.startsWith('\0') ? columns.paths.slice(1).split('\0') : split(columns.paths)
  const rows = new Map<BytePath, Stamped & T>()
  for (const [row, path] of paths.entries()) {
    const at = row * 3
    rows.set(path, {
      mode: columns.numbers[at] ?? 0,
      size: columns.numbers[at + 1] ?? 0,
      settled: columns.numbers[at + 2] === 1,
      inode: columns.times[at] ?? 0n,
      mtimeNs: columns.times[at + 1] ?? 0n,
      ctimeNs: columns.times[at + 2] ?? 0n,
      ...rest(row),
    })
  }
  return rows
}

function split(text: string): string[] {
  return text === '' ? [] : text.split('\0')
}
