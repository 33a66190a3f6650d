import crypto from 'node:crypto'
import { constants, lstatSync } from 'node:fs'
import { readLinkBytes } from './native-bytes.ts'
import { fileEntry, isUntouched, plainEntry, type ScanEntry } from './scan-entry.ts'
import { classifyFailure } from './scan-file-hash.ts'
import { nativePath, readNames } from './scan-names.ts'

type OmittedReason = 'ignored' | 'unsupported-name' | 'special-file' | 'unreadable'

export interface ScanOptions {
  /** Real path of the directory. */
  readonly root: string
  /** Why a path is to be left out, `null` where it is not; a directory goes with all that it holds. */
  readonly omissionOf: (path: string, name: string) => 'ignored' | 'unsupported-name' | null
  /** What an earlier scan found, in its order. */
  readonly previous: readonly ScanEntry[]
  /** Takes a file whose content is not known from `previous`; `index` is its place in the result's entries. */
  readonly onUnknown: (entry: ScanEntry, index: number) => void
  readonly onOmitted: (path: string, reason: OmittedReason) => void
  /** Takes a path that changed its kind while it was looked at. */
  readonly onUnstable: (path: string) => void
}

/** About half a millisecond of work. */
const PAUSE_EVERY = 128

interface Frame {
  readonly path: string
  readonly mode: number
  readonly names: readonly string[]
  next: number
  occupied: boolean
}

/**
 * Walks a directory depth first and lists its files, links and empty directories in the order of `sortKey`; yields
 * how many paths it has seen now and then, so that the caller can pause or stop. Follows no link, opens no file. A directory is empty
 * when nothing in it was listed. What vanishes meanwhile is absent.
 * @throws `NodeJS.ErrnoException` when the root itself cannot be listed.
 */
export function* scanTree(options: ScanOptions): Generator<number, ScanEntry[]> {
  let seen = 0
  const entries: ScanEntry[] = []
  const recall = createRecall(options.previous)
  const stack: Frame[] = [{ path: '', mode: 0, names: readNames(options.root), next: 0, occupied: true }]
  for (let frame = stack.at(-1); frame !== undefined; frame = stack.at(-1)) {
    const child = frame.names[frame.next]
    if (child === undefined) {
      if (!frame.occupied) entries.push(plainEntry(frame.path, 'directory', frame.mode, 0, ''))
      stack.pop()
      continue
    }
    frame.next += 1
    seen += 1
    if (seen % PAUSE_EVERY === 0) yield seen
    const isDirectory = child.endsWith('/')
    const name = isDirectory ? child.slice(0, -1) : child
    const path = frame.path === '' ? name : `${frame.path}/${name}`
    const reason = options.omissionOf(path, name)
    if (reason !== null) {
      options.onOmitted(path, reason)
    } else if (isDirectory) {
      const inner = openFrame(path, options)
      if (inner === null) continue
      frame.occupied = true
      stack.push(inner)
    } else {
      const entry = readLeaf(path, options, recall)
      if (entry === null) continue
      frame.occupied = true
      if (entry.type === 'file' && entry.content === '') options.onUnknown(entry, entries.length)
      entries.push(entry)
    }
  }
  return entries
}

/** The stat comes after the listing: it proves that the name was no link to another place by then. */
function openFrame(path: string, options: ScanOptions): Frame | null {
  const absolute = `${options.root}/${path}`
  try {
    const names = readNames(absolute)
    const stats = lstatSync(nativePath(absolute))
    if (stats.isDirectory()) return { path, mode: stats.mode & 0o7777, names, next: 0, occupied: false }
    options.onUnstable(path)
    return null
  } catch (error) {
    return report(error, path, options)
  }
}

function readLeaf(
  path: string,
  options: ScanOptions,
  recall: (path: string) => ScanEntry | null,
): ScanEntry | null {
  const native = nativePath(`${options.root}/${path}`)
  try {
    const stats = lstatSync(native, { bigint: true })
    const type = Number(stats.mode) & constants.S_IFMT
    if (type === constants.S_IFREG) {
      const known = recall(path)
      return known !== null && isUntouched(known, stats) ? known : fileEntry(path, stats, '', false)
    }
    if (type === constants.S_IFLNK) {
      const target = readLinkBytes(native)
      return plainEntry(path, 'symlink', 0o777, target.length, crypto.hash('sha256', target, 'hex'))
    }
    if (type === constants.S_IFDIR) options.onUnstable(path)
    else options.onOmitted(path, 'special-file')
    return null
  } catch (error) {
    return report(error, path, options)
  }
}

function report(error: unknown, path: string, options: ScanOptions): null {
  const failure = classifyFailure(error)
  if (failure === 'moved') options.onUnstable(path)
  if (failure === 'unreadable') options.onOmitted(path, 'unreadable')
  return null
}

/** Finds settled files of an earlier scan, asked for in the order of the scan. */
function createRecall(previous: readonly ScanEntry[]): (path: string) => ScanEntry | null {
  let cursor = 0
  return (path) => {
    for (; cursor < previous.length; cursor += 1) {
      const candidate = previous[cursor]
      if (candidate === undefined) break
      if (candidate.path === path) return candidate.type === 'file' && candidate.settled ? candidate : null
      if (candidate.path > path) break
    }
    return null
  }
}
