import { Buffer } from 'node:buffer'
import { WorkspaceError } from '../../errors.ts'
import type { ByteString } from '../../filesystem/directory-handle.ts'
import { corrupt } from './archive-error.ts'
import { checkGlobalPaxRecords, parsePaxRecords, type PaxFields } from './pax-records.ts'
import { MAX_SPARSE_MAP_BYTES, checkSparseMap, parseLeadingMap, readOldSparseEntries } from './sparse-map.ts'
import { checkedPath, entryType, headerPath, longName, type TarEntry } from './tar-entry.ts'
import { hasValidChecksum, isZeroBlock, readNumber, readText } from './tar-fields.ts'
import { TAR_BLOCK_BYTES, paddedLength } from './tar-header.ts'

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
  return new StrictTarReader(visitor)
}

class StrictTarReader implements TarReader {
  private readonly visitor: TarVisitor
  private readonly partial = Buffer.alloc(TAR_BLOCK_BYTES)
  private partialBytes = 0
  private state: 'header' | 'meta' | 'sparse-block' | 'sparse-map' | 'content' | 'end' = 'header'
  private isFirst = true
  private zeroBlocks = 0
  private meta: Meta = {}
  private metaKind = ''
  private collected: Buffer[] = []
  private collectedBytes = 0
  private remaining = 0
  private padding = 0
  private pendingEntry: { entry: TarEntry; stored: number } | null = null

  constructor(visitor: TarVisitor) {
    this.visitor = visitor
  }

  push(chunk: Buffer): void {
    let offset = 0
    while (offset < chunk.length) {
      if (this.state === 'end') offset = this.onEnd(chunk, offset)
      else if (this.state === 'sparse-map') offset = this.onSparseMap(chunk, offset)
      else if (this.state === 'content' || this.state === 'meta') offset = this.onBytes(chunk, offset)
      else if (this.padding > 0 && this.state === 'header') {
        const taken = Math.min(this.padding, chunk.length - offset)
        this.padding -= taken
        offset += taken
      } else offset = this.nextBlock(chunk, offset)
    }
  }

  finish(): void {
    if (this.state !== 'end') throw corrupt('it is cut off')
  }

  private onBlock(block: Buffer): void {
    if (isZeroBlock(block)) {
      if (
        this.meta.pax !== undefined ||
        this.meta.longPath !== undefined ||
        this.meta.longLink !== undefined
      ) {
        throw corrupt('it ends after a header that describes another one')
      }
      this.zeroBlocks += 1
      if (this.zeroBlocks === 2) this.state = 'end'
      return
    }
    if (this.zeroBlocks > 0) throw corrupt('an empty block stands between its entries')
    if (!hasValidChecksum(block)) {
      if (!this.isFirst) throw corrupt('the checksum of a header is wrong')
      throw new WorkspaceError(
        'INVALID_INPUT',
        'This is compressed, but what is inside is not a tar archive (or its first header is damaged).',
        { details: { input: 'archive' } },
      )
    }
    this.isFirst = false
    this.visitor.header()
    const flag = String.fromCharCode(block[156] ?? 0)
    const size = readNumber(block, 124, 12, 'size')
    if ('xgLK'.includes(flag)) this.startMeta(flag, size)
    else this.startEntry(block, flag, size)
  }

  private startMeta(kind: string, size: number): void {
    if (size > MAX_META_BYTES) {
      throw new WorkspaceError(
        'QUOTA_EXCEEDED',
        `The archive has a header of ${size} bytes; at most ${MAX_META_BYTES} are allowed. Nothing was changed.`,
      )
    }
    const isGnuName = kind === 'L' || kind === 'K'
    const isRepeated =
      (kind === 'x' && this.meta.pax !== undefined) ||
      (kind === 'L' && this.meta.longPath !== undefined) ||
      (kind === 'K' && this.meta.longLink !== undefined)
    const isMixed =
      (isGnuName && this.meta.pax !== undefined) ||
      (kind === 'x' && (this.meta.longPath !== undefined || this.meta.longLink !== undefined))
    if (isRepeated || isMixed) throw corrupt('two headers describe the same entry')
    this.metaKind = kind
    this.beginCollecting(size)
    this.state = 'meta'
    if (size === 0) this.endMeta()
  }

  private beginCollecting(size: number): void {
    this.collected = []
    this.collectedBytes = 0
    this.remaining = size
    this.padding = paddedLength(size) - size
  }

  private endMeta(): void {
    const data = Buffer.concat(this.collected)
    this.collected = []
    if (this.metaKind === 'x') this.meta.pax = parsePaxRecords(data)
    else if (this.metaKind === 'g') checkGlobalPaxRecords(data)
    else if (this.metaKind === 'L') this.meta.longPath = longName(data)
    else this.meta.longLink = longName(data)
    this.state = 'header'
  }

  private startEntry(block: Buffer, flag: string, headerSize: number): void {
    const pax = this.meta.pax ?? {}
    if (flag === 'V') {
      // Other readers apply it here, and take what follows for content of that size.
      if (this.meta.pax !== undefined) throw corrupt('a header describes a volume label')
      this.meta = {}
      if (headerSize > 0) throw corrupt('a volume label has content')
      return
    }
    const { type, isOldSparse } = entryType(flag)
    const stored = type === 'file' ? (pax.size ?? headerSize) : headerSize
    if (type !== 'file' && (stored !== 0 || (pax.size ?? 0) !== 0)) {
      throw corrupt('an entry that is not a file has content')
    }
    const { path, linkPath } = this.names(block, pax, isOldSparse)
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
    this.meta = {}
    this.startContent(block, entry, stored, isOldSparse, pax.sparse)
  }

  private names(block: Buffer, pax: PaxFields, isOldSparse: boolean): Pick<TarEntry, 'path' | 'linkPath'> {
    const { longPath, longLink } = this.meta
    return {
      path: checkedPath(pax.sparse?.path ?? pax.path ?? longPath ?? headerPath(block, isOldSparse)),
      linkPath: checkedPath(pax.linkPath ?? longLink ?? readText(block, 157, 100)),
    }
  }

  private startContent(
    block: Buffer,
    entry: TarEntry,
    stored: number,
    isOldSparse: boolean,
    sparse: PaxFields['sparse'],
  ): void {
    this.padding = paddedLength(stored) - stored
    if (isOldSparse) {
      const realSize = readNumber(block, 483, 12, 'size')
      const segments = readOldSparseEntries(block, 386, 4)
      this.pendingEntry = { entry: { ...entry, size: realSize, segments }, stored }
      if (block[482] === 1) this.state = 'sparse-block'
      else this.openEntry()
    } else if (sparse !== undefined && entry.type === 'file') {
      this.pendingEntry = {
        entry: { ...entry, size: sparse.realSize, segments: sparse.segments ?? null },
        stored,
      }
      if (sparse.segments !== undefined) this.openEntry()
      else {
        this.beginCollecting(stored)
        this.state = 'sparse-map'
      }
    } else {
      this.pendingEntry = { entry, stored }
      this.openEntry()
    }
  }

  private onSparseBlock(block: Buffer): void {
    if (this.pendingEntry === null) return
    const segments = [...(this.pendingEntry.entry.segments ?? []), ...readOldSparseEntries(block, 0, 21)]
    if (segments.length > MAX_SPARSE_MAP_BYTES / 24) throw corrupt('a sparse map is too long')
    this.pendingEntry = { ...this.pendingEntry, entry: { ...this.pendingEntry.entry, segments } }
    if (block[504] !== 1) this.openEntry()
  }

  private openEntry(): void {
    if (this.pendingEntry === null) return
    const { entry, stored } = this.pendingEntry
    this.pendingEntry = null
    if (entry.segments !== null) checkSparseMap(entry.segments, entry.size, stored)
    this.remaining = stored
    this.visitor.entry(entry)
    if (stored === 0) this.endContent()
    else this.state = 'content'
  }

  private endContent(): void {
    this.state = 'header'
    this.visitor.endOfEntry()
  }

  /** Format 1.0 puts the map where the content begins; what follows it is content. */
  private onSparseMap(chunk: Buffer, offset: number): number {
    if (this.pendingEntry === null) return offset
    const taken = Math.min(
      TAR_BLOCK_BYTES - (this.collectedBytes % TAR_BLOCK_BYTES),
      this.remaining,
      chunk.length - offset,
    )
    if (taken === 0) throw corrupt('a sparse map does not end')
    this.collected.push(Buffer.from(chunk.subarray(offset, offset + taken)))
    this.collectedBytes += taken
    this.remaining -= taken
    if (this.collectedBytes > MAX_SPARSE_MAP_BYTES) throw corrupt('a sparse map is too long')
    const isBlockEnd = this.collectedBytes % TAR_BLOCK_BYTES === 0
    const map = isBlockEnd ? parseLeadingMap(Buffer.concat(this.collected)) : null
    if (map !== null) {
      const { entry, stored } = this.pendingEntry
      this.pendingEntry = { entry: { ...entry, segments: map.segments }, stored: stored - map.bytes }
      this.collected = []
      this.openEntry()
    } else if (this.remaining === 0) throw corrupt('a sparse map does not end')
    return offset + taken
  }

  private onBytes(chunk: Buffer, offset: number): number {
    if (this.remaining > 0) {
      const taken = Math.min(this.remaining, chunk.length - offset)
      const bytes = chunk.subarray(offset, offset + taken)
      this.remaining -= taken
      if (this.state === 'content') this.visitor.content(bytes)
      else this.collected.push(Buffer.from(bytes))
      if (this.remaining === 0) {
        if (this.state === 'content') this.endContent()
        else this.endMeta()
      }
      return offset + taken
    }
    return offset
  }

  private onEnd(chunk: Buffer, offset: number): number {
    for (let index = offset; index < chunk.length; index += 1) {
      if (chunk[index] !== 0) throw corrupt('bytes follow its end')
    }
    return chunk.length
  }

  private nextBlock(chunk: Buffer, offset: number): number {
    if (this.partialBytes === 0 && chunk.length - offset >= TAR_BLOCK_BYTES) {
      this.deliver(chunk.subarray(offset, offset + TAR_BLOCK_BYTES))
      return offset + TAR_BLOCK_BYTES
    }
    const taken = Math.min(TAR_BLOCK_BYTES - this.partialBytes, chunk.length - offset)
    chunk.copy(this.partial, this.partialBytes, offset, offset + taken)
    this.partialBytes += taken
    if (this.partialBytes === TAR_BLOCK_BYTES) {
      this.partialBytes = 0
      this.deliver(this.partial)
    }
    return offset + taken
  }

  private deliver(block: Buffer): void {
    if (this.state === 'sparse-block') this.onSparseBlock(block)
    else this.onBlock(block)
  }
}
