import { Buffer } from 'node:buffer'
import { WorkspaceError } from '../errors.ts'
import type { ByteString } from '../filesystem/directory-handle.ts'
import { corrupt } from './archive-error.ts'
import { checkGlobalPaxRecords, parsePaxRecords, type PaxFields } from './pax-records.ts'
import {
  MAX_SPARSE_MAP_BYTES,
  checkSparseMap,
  parseLeadingMap,
  readOldSparseEntries,
  type SparseSegment,
} from './sparse-map.ts'
import { hasValidChecksum, isZeroBlock, readNumber, readText } from './tar-fields.ts'
import { TAR_BLOCK_BYTES, paddedLength } from './tar-header.ts'

export interface TarEntry {
  /** As the archive has it, without the end of slashes of a directory; not yet checked to be safe. */
  readonly path: ByteString
  readonly type: 'file' | 'directory' | 'symlink' | 'hard-link' | 'device'
  readonly mode: number
  /** Seconds, with a fraction. */
  readonly mtime: number
  /** Of the file as it will be; 0 for everything else. */
  readonly size: number
  readonly linkPath: ByteString
  /** Where the content goes in the file; `null` when it is all there. */
  readonly segments: readonly SparseSegment[] | null
}

/** Receives a tar stream in order: an entry, its content in pieces that are only valid during the call, its end. */
export interface TarVisitor {
  entry(entry: TarEntry): void
  content(bytes: Buffer): void
  endOfEntry(): void
  /** Each header, also those that only describe the next one. */
  header(): void
}

export interface TarReader {
  push(chunk: Buffer): void
  /** @throws `CORRUPT` when the stream ended too early. */
  finish(): void
}

/** Names and PAX records of one entry; nothing real comes near. */
const MAX_META_BYTES = 1024 * 1024
const MAX_PATH_BYTES = 64 * 1024

interface Meta {
  pax?: PaxFields
  longPath?: ByteString
  longLink?: ByteString
}

/**
 * A strict reader of tar streams: v7, ustar, GNU (long names, old sparse files) and PAX (with GNU's sparse formats).
 * Where readers are known to disagree (sizes of links, headers that change how the next header is read, numbers out of
 * range, bytes after the end) it refuses instead of guessing, because a guess is how one archive shows two contents.
 */
export function createTarReader(visitor: TarVisitor): TarReader {
  const partial = Buffer.alloc(TAR_BLOCK_BYTES)
  let partialBytes = 0
  let state: 'header' | 'meta' | 'sparse-block' | 'sparse-map' | 'content' | 'end' = 'header'
  let isFirst = true
  let zeroBlocks = 0
  let meta: Meta = {}
  let metaKind = ''
  let collected: Buffer[] = []
  let collectedBytes = 0
  let remaining = 0
  let padding = 0
  let pendingEntry: { entry: TarEntry; stored: number } | null = null

  function onBlock(block: Buffer): void {
    if (isZeroBlock(block)) {
      if (meta.pax !== undefined || meta.longPath !== undefined || meta.longLink !== undefined) {
        throw corrupt('it ends after a header that describes another one')
      }
      zeroBlocks += 1
      if (zeroBlocks === 2) state = 'end'
      return
    }
    if (zeroBlocks > 0) throw corrupt('an empty block stands between its entries')
    if (!hasValidChecksum(block)) {
      if (!isFirst) throw corrupt('the checksum of a header is wrong')
      throw new WorkspaceError(
        'INVALID_INPUT',
        'This is compressed, but what is inside is not a tar archive (or its first header is damaged).',
        { details: { input: 'archive' } },
      )
    }
    isFirst = false
    visitor.header()
    const flag = String.fromCharCode(block[156] ?? 0)
    const size = readNumber(block, 124, 12, 'size')
    if ('xgLK'.includes(flag)) startMeta(flag, size)
    else startEntry(block, flag, size)
  }

  function startMeta(kind: string, size: number): void {
    if (size > MAX_META_BYTES) {
      throw new WorkspaceError(
        'QUOTA_EXCEEDED',
        `The archive has a header of ${size} bytes; at most ${MAX_META_BYTES} are allowed. Nothing was changed.`,
      )
    }
    const isGnuName = kind === 'L' || kind === 'K'
    const isRepeated =
      (kind === 'x' && meta.pax !== undefined) ||
      (kind === 'L' && meta.longPath !== undefined) ||
      (kind === 'K' && meta.longLink !== undefined)
    const isMixed =
      (isGnuName && meta.pax !== undefined) ||
      (kind === 'x' && (meta.longPath !== undefined || meta.longLink !== undefined))
    if (isRepeated || isMixed) throw corrupt('two headers describe the same entry')
    metaKind = kind
    beginCollecting(size)
    state = 'meta'
    if (size === 0) endMeta()
  }

  function beginCollecting(size: number): void {
    collected = []
    collectedBytes = 0
    remaining = size
    padding = paddedLength(size) - size
  }

  function endMeta(): void {
    const data = Buffer.concat(collected)
    collected = []
    if (metaKind === 'x') meta.pax = parsePaxRecords(data)
    else if (metaKind === 'g') checkGlobalPaxRecords(data)
    else if (metaKind === 'L') meta.longPath = longName(data)
    else meta.longLink = longName(data)
    state = 'header'
  }

  function startEntry(block: Buffer, flag: string, headerSize: number): void {
    const pax = meta.pax ?? {}
    if (flag === 'V') {
      meta = {}
      if (headerSize > 0) throw corrupt('a volume label has content')
      return
    }
    const { type, isOldSparse } = entryType(flag)
    const stored = type === 'file' ? (pax.size ?? headerSize) : headerSize
    if (type !== 'file' && (stored !== 0 || (pax.size ?? 0) !== 0)) {
      throw corrupt('an entry that is not a file has content')
    }
    const path = checkedPath(pax.sparse?.path ?? pax.path ?? meta.longPath ?? headerPath(block, isOldSparse))
    const linkPath = checkedPath(pax.linkPath ?? meta.longLink ?? readText(block, 157, 100))
    const isDirectory = type === 'directory' || (type === 'file' && !isOldSparse && path.endsWith('/'))
    if (isDirectory && stored !== 0) throw corrupt('a directory has content')
    const entry: TarEntry = {
      path: isDirectory ? path.replace(/(?<=[^/])\/+$/, '') : path,
      type: isDirectory ? 'directory' : type,
      mode: readNumber(block, 100, 8, 'mode') & 0o7777,
      mtime: pax.mtime ?? readNumber(block, 136, 12, 'time'),
      size: stored,
      linkPath,
      segments: null,
    }
    meta = {}
    startContent(block, entry, stored, isOldSparse, pax.sparse)
  }

  function startContent(
    block: Buffer,
    entry: TarEntry,
    stored: number,
    isOldSparse: boolean,
    sparse: PaxFields['sparse'],
  ): void {
    padding = paddedLength(stored) - stored
    if (isOldSparse) {
      const realSize = readNumber(block, 483, 12, 'size')
      const segments = readOldSparseEntries(block, 386, 4)
      pendingEntry = { entry: { ...entry, size: realSize, segments }, stored }
      if (block[482] === 1) state = 'sparse-block'
      else openEntry()
    } else if (sparse !== undefined && entry.type === 'file') {
      pendingEntry = { entry: { ...entry, size: sparse.realSize, segments: sparse.segments ?? null }, stored }
      if (sparse.segments !== undefined) openEntry()
      else {
        beginCollecting(stored)
        state = 'sparse-map'
      }
    } else {
      pendingEntry = { entry, stored }
      openEntry()
    }
  }

  function onSparseBlock(block: Buffer): void {
    if (pendingEntry === null) return
    const segments = [...(pendingEntry.entry.segments ?? []), ...readOldSparseEntries(block, 0, 21)]
    if (segments.length > MAX_SPARSE_MAP_BYTES / 24) throw corrupt('a sparse map is too long')
    pendingEntry = { ...pendingEntry, entry: { ...pendingEntry.entry, segments } }
    if (block[504] !== 1) openEntry()
  }

  function openEntry(): void {
    if (pendingEntry === null) return
    const { entry, stored } = pendingEntry
    pendingEntry = null
    if (entry.segments !== null) checkSparseMap(entry.segments, entry.size, stored)
    remaining = stored
    visitor.entry(entry)
    if (stored === 0) endContent()
    else state = 'content'
  }

  function endContent(): void {
    state = 'header'
    visitor.endOfEntry()
  }

  /** Format 1.0 puts the map where the content begins; what follows it is content. */
  function onSparseMap(chunk: Buffer, offset: number): number {
    if (pendingEntry === null) return offset
    const taken = Math.min(
      TAR_BLOCK_BYTES - (collectedBytes % TAR_BLOCK_BYTES),
      remaining,
      chunk.length - offset,
    )
    if (taken === 0) throw corrupt('a sparse map does not end')
    collected.push(Buffer.from(chunk.subarray(offset, offset + taken)))
    collectedBytes += taken
    remaining -= taken
    if (collectedBytes > MAX_SPARSE_MAP_BYTES) throw corrupt('a sparse map is too long')
    const isBlockEnd = collectedBytes % TAR_BLOCK_BYTES === 0
    const map = isBlockEnd ? parseLeadingMap(Buffer.concat(collected)) : null
    if (map !== null) {
      const { entry, stored } = pendingEntry
      pendingEntry = { entry: { ...entry, segments: map.segments }, stored: stored - map.bytes }
      collected = []
      openEntry()
    } else if (remaining === 0) throw corrupt('a sparse map does not end')
    return offset + taken
  }

  function onBytes(chunk: Buffer, offset: number): number {
    if (remaining > 0) {
      const taken = Math.min(remaining, chunk.length - offset)
      const bytes = chunk.subarray(offset, offset + taken)
      remaining -= taken
      if (state === 'content') visitor.content(bytes)
      else collected.push(Buffer.from(bytes))
      if (remaining === 0) {
        if (state === 'content') endContent()
        else endMeta()
      }
      return offset + taken
    }
    return offset
  }

  function onEnd(chunk: Buffer, offset: number): number {
    for (let index = offset; index < chunk.length; index += 1) {
      if (chunk[index] !== 0) throw corrupt('bytes follow its end')
    }
    return chunk.length
  }

  function nextBlock(chunk: Buffer, offset: number): number {
    if (partialBytes === 0 && chunk.length - offset >= TAR_BLOCK_BYTES) {
      deliver(chunk.subarray(offset, offset + TAR_BLOCK_BYTES))
      return offset + TAR_BLOCK_BYTES
    }
    const taken = Math.min(TAR_BLOCK_BYTES - partialBytes, chunk.length - offset)
    chunk.copy(partial, partialBytes, offset, offset + taken)
    partialBytes += taken
    if (partialBytes === TAR_BLOCK_BYTES) {
      partialBytes = 0
      deliver(partial)
    }
    return offset + taken
  }

  function deliver(block: Buffer): void {
    if (state === 'sparse-block') onSparseBlock(block)
    else onBlock(block)
  }

  return {
    push(chunk) {
      let offset = 0
      while (offset < chunk.length) {
        if (state === 'end') offset = onEnd(chunk, offset)
        else if (state === 'sparse-map') offset = onSparseMap(chunk, offset)
        else if (state === 'content' || state === 'meta') offset = onBytes(chunk, offset)
        else if (padding > 0 && state === 'header') {
          const taken = Math.min(padding, chunk.length - offset)
          padding -= taken
          offset += taken
        } else offset = nextBlock(chunk, offset)
      }
    },
    finish() {
      if (state !== 'end') throw corrupt('it is cut off')
    },
  }
}

function entryType(flag: string): { type: TarEntry['type']; isOldSparse: boolean } {
  const types: Readonly<Record<string, TarEntry['type']>> = {
    '\0': 'file',
    '0': 'file',
    '7': 'file',
    S: 'file',
    '1': 'hard-link',
    '2': 'symlink',
    '3': 'device',
    '4': 'device',
    '5': 'directory',
    '6': 'device',
  }
  const type = types[flag]
  if (type === undefined) {
    throw new WorkspaceError(
      'UNSUPPORTED',
      `The archive has an entry of the unknown type ${JSON.stringify(flag)}. Nothing was changed; make it with plain tar.`,
    )
  }
  return { type, isOldSparse: flag === 'S' }
}

/** The prefix field exists in POSIX headers only; GNU's keep times and sparse maps there. */
function headerPath(block: Buffer, isOldSparse: boolean): ByteString {
  const name = readText(block, 0, 100)
  const isPosix = block.toString('latin1', 257, 263) === 'ustar\0'
  const prefix = isPosix && !isOldSparse ? readText(block, 345, 155) : ''
  return prefix === '' ? name : `${prefix}/${name}`
}

function longName(data: Buffer): ByteString {
  const end = data.indexOf(0)
  const rest = end === -1 ? data.subarray(data.length) : data.subarray(end)
  if (rest.some((byte) => byte !== 0)) throw corrupt('a long name holds a NUL')
  return data.toString('latin1', 0, end === -1 ? data.length : end)
}

function checkedPath(path: ByteString): ByteString {
  if (path.length <= MAX_PATH_BYTES) return path
  throw new WorkspaceError(
    'QUOTA_EXCEEDED',
    `The archive has a name of ${path.length} bytes; at most ${MAX_PATH_BYTES} are allowed. Nothing was changed.`,
  )
}
