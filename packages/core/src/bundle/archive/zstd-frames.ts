import { Buffer } from 'node:buffer'
import { WorkspaceError } from '../../errors.ts'
import { corrupt } from './archive-error.ts'

/** The memory that a decoder needs for it: what `zstd -d` allows as well. */
const MAX_WINDOW_BYTES = 128 * 1024 * 1024
const FRAME_MAGIC = 0xfd2fb528
const SKIPPABLE_MAGIC = 0x184d2a50

export interface ZstdFrameScanner {
  /**
   * The parts of the next chunk that belong to frames, none of which goes on after the end of its frame. Parts are only
   * valid until the next one is asked for.
   * @throws `CORRUPT` for anything but frames after a frame
   */
  pieces(chunk: Buffer): Generator<Buffer, void, void>
  /** @throws `CORRUPT` when the stream ends within a frame. */
  finish(): void
}

/** Finds where the frames of a zstd stream begin and end by its block headers (RFC 8878), without decompressing. */
export function createZstdFrameScanner(): ZstdFrameScanner {
  return new FrameScanner()
}

class FrameScanner implements ZstdFrameScanner {
  /** A header that is not whole yet: the longest one is magic, descriptor, window, dictionary and content size. */
  private readonly header = Buffer.alloc(18)
  private headerBytes = 0
  private wantedBytes = 4
  private state: 'magic' | 'skip-size' | 'skip' | 'descriptor' | 'frame-header' | 'block-header' | 'body' =
    'magic'
  /** What is left of a block, a checksum or a skipped frame. */
  private bodyBytes = 0
  private isLastBlock = false
  private isEndOfFrame = false
  private hasChecksum = false

  finish(): void {
    if (this.state !== 'magic' || this.headerBytes > 0) throw corrupt('it is cut off')
  }

  *pieces(chunk: Buffer): Generator<Buffer, void, void> {
    let start = 0
    let offset = 0
    while (offset < chunk.length) {
      if (this.state === 'skip' || this.state === 'body') {
        const taken = Math.min(this.bodyBytes, chunk.length - offset)
        this.bodyBytes -= taken
        offset += taken
        if (this.state === 'skip') start = offset
        if (this.bodyBytes > 0) continue
        if (this.endBody()) {
          if (offset > start) yield chunk.subarray(start, offset)
          start = offset
        }
        continue
      }
      const taken = Math.min(this.wantedBytes - this.headerBytes, chunk.length - offset)
      chunk.copy(this.header, this.headerBytes, offset, offset + taken)
      this.headerBytes += taken
      offset += taken
      const isMagic = this.state === 'magic'
      // It is not known yet whether the decoder is to see it; a copy of it is passed on when it is.
      if (isMagic || this.state === 'skip-size') start = offset
      if (this.headerBytes < this.wantedBytes) continue
      if (this.endHeader()) {
        yield chunk.subarray(start, offset)
        start = offset
      }
      if (isMagic && this.state === 'descriptor') yield Buffer.from(this.header.subarray(0, 4))
    }
    if (start < chunk.length) yield chunk.subarray(start)
  }

  /** Whether a frame ends with it. */
  private endBody(): boolean {
    const isEnd = this.state === 'body' && this.isEndOfFrame
    if (this.state === 'skip' || this.isEndOfFrame) this.expect('magic', 4)
    else if (!this.isLastBlock) this.expect('block-header', 3)
    else if (this.hasChecksum) this.expectBody(4, true)
    return isEnd
  }

  /** Whether a frame ends with it: one whose last block is empty, without a checksum. */
  private endHeader(): boolean {
    const { header, state } = this
    if (state === 'magic') this.onMagic(header.readUInt32LE(0))
    else if (state === 'skip-size') this.onSkipSize(header.readUInt32LE(0))
    else if (state === 'descriptor') this.onDescriptor(header[0] ?? 0)
    else if (state === 'frame-header') this.onFrameHeader()
    else return this.onBlockHeader(header.readUIntLE(0, 3))
    return false
  }

  private onMagic(magic: number): void {
    if ((magic & 0xfffffff0) >>> 0 === SKIPPABLE_MAGIC) this.expect('skip-size', 4)
    else if (magic === FRAME_MAGIC) this.expect('descriptor', 1)
    else throw corrupt('something that is not zstd follows its frames')
  }

  private onSkipSize(size: number): void {
    if (size === 0) this.expect('magic', 4)
    else {
      this.state = 'skip'
      this.bodyBytes = size
    }
  }

  private onDescriptor(flags: number): void {
    if ((flags & 0x08) !== 0) throw corrupt('a zstd frame header is malformed')
    this.hasChecksum = (flags & 0x04) !== 0
    const { windowBytes, dictionaryBytes, sizeBytes } = headerFields(flags)
    this.state = 'frame-header'
    this.wantedBytes = 1 + windowBytes + dictionaryBytes + sizeBytes
  }

  private onFrameHeader(): void {
    const flags = this.header[0] ?? 0
    const { windowBytes, dictionaryBytes, sizeBytes } = headerFields(flags)
    const needed =
      windowBytes === 0
        ? readContentBytes(this.header, 1 + dictionaryBytes, sizeBytes)
        : readWindowBytes(this.header[1] ?? 0)
    if (needed > MAX_WINDOW_BYTES) {
      throw new WorkspaceError(
        'UNSUPPORTED',
        `The archive needs ${needed} bytes of memory to decompress; at most ${MAX_WINDOW_BYTES} are allowed. Compress it again without --long=28 or more.`,
      )
    }
    this.expect('block-header', 3)
  }

  private onBlockHeader(value: number): boolean {
    const type = (value >> 1) & 3
    if (type === 3) throw corrupt('a zstd block is malformed')
    this.isLastBlock = (value & 1) === 1
    const length = type === 1 ? 1 : value >> 3
    if (length > 0) this.expectBody(length, this.isLastBlock && !this.hasChecksum)
    else if (!this.isLastBlock) this.expect('block-header', 3)
    else if (this.hasChecksum) this.expectBody(4, true)
    else {
      this.expect('magic', 4)
      return true
    }
    return false
  }

  private expect(state: 'magic' | 'skip-size' | 'descriptor' | 'block-header', bytes: number): void {
    this.state = state
    this.headerBytes = 0
    this.wantedBytes = bytes
  }

  private expectBody(bytes: number, isEndOfFrame: boolean): void {
    this.state = 'body'
    this.bodyBytes = bytes
    this.isEndOfFrame = isEndOfFrame
  }
}

function headerFields(flags: number): { windowBytes: number; dictionaryBytes: number; sizeBytes: number } {
  const isSingleSegment = (flags & 0x20) !== 0
  return {
    windowBytes: isSingleSegment ? 0 : 1,
    dictionaryBytes: [0, 1, 2, 4][flags & 3] ?? 0,
    sizeBytes: [isSingleSegment ? 1 : 0, 2, 4, 8][flags >> 6] ?? 0,
  }
}

function readContentBytes(header: Buffer, offset: number, length: number): number {
  if (length === 2) return header.readUInt16LE(offset) + 256
  if (length === 8) return Number(header.readBigUInt64LE(offset))
  return header.readUIntLE(offset, length)
}

function readWindowBytes(descriptor: number): number {
  const base = 2 ** (10 + (descriptor >> 3))
  return base + (base / 8) * (descriptor & 7)
}
