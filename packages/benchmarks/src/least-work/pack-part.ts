import crypto from 'node:crypto'
import { closeSync, openSync, readSync, writeSync } from 'node:fs'
import zlib from 'node:zlib'

/** Content of one file that lies together in a frame. */
export interface Piece {
  /** Number of the entry. */
  readonly entry: number
  readonly position: number
  readonly length: number
  /** In the raw frame. */
  readonly offset: number
  readonly hash: string
}

export interface Frame {
  readonly start: number
  readonly storedBytes: number
  readonly rawBytes: number
  readonly pieces: readonly Piece[]
}

/** As the engine: it hashes large files in pieces of about this size. */
const BLOCK_BYTES = 65_536
const FRAME_BYTES = 1_048_576
const BULK_AFTER_BYTES = 4 * 1_048_576

/** The frames that one thread puts into the pack. */
export interface PackPart {
  readonly frames: Frame[]
  /** Reads, hashes and takes a part of a file; only the blocks that `isWanted` says are stored. */
  addFile(
    path: string,
    entry: number,
    from: number,
    to: number,
    isWanted: (position: number, hash: string) => boolean,
  ): void
  flush(): void
}

export function createPackPart(pack: number, packBytes: BigInt64Array<SharedArrayBuffer>): PackPart {
  const raw = Buffer.allocUnsafeSlow(FRAME_BYTES)
  const frames: Frame[] = []
  let pieces: Piece[] = []
  let filled = 0
  let taken = 0

  function flush(): void {
    if (filled === 0) return
    const content = raw.subarray(0, filled)
    const stored = zlib.zstdCompressSync(content, compressOptions(filled, taken >= BULK_AFTER_BYTES))
    taken += filled
    const start = Number(Atomics.add(packBytes, 0, BigInt(stored.length)))
    for (let done = 0; done < stored.length;)
      done += writeSync(pack, stored, done, stored.length - done, start + done)
    frames.push({ start, storedBytes: stored.length, rawBytes: filled, pieces })
    pieces = []
    filled = 0
  }

  return {
    frames,
    flush,
    addFile(path, entry, from, to, isWanted) {
      const fd = openSync(path, 'r')
      try {
        for (let position = from; position < to;) {
          const wanted = Math.min(BLOCK_BYTES, to - position)
          if (filled + wanted > FRAME_BYTES) flush()
          const length = readSync(fd, raw, filled, wanted, position)
          if (length === 0) break
          const hash = crypto.hash('sha256', raw.subarray(filled, filled + length), 'hex')
          if (isWanted(position, hash)) {
            pieces.push({ entry, position, length, offset: filled, hash })
            filled += length
          }
          position += length
        }
      } finally {
        closeSync(fd)
      }
    },
  }
}

/** The levels that the engine uses, its tables included. */
function compressOptions(rawBytes: number, isBulk: boolean): zlib.ZstdOptions {
  const { ZSTD_c_compressionLevel, ZSTD_c_hashLog, ZSTD_c_chainLog } = zlib.constants
  const params = isBulk
    ? { [ZSTD_c_compressionLevel]: 2, [ZSTD_c_hashLog]: 15 }
    : { [ZSTD_c_compressionLevel]: 3, [ZSTD_c_hashLog]: 16, [ZSTD_c_chainLog]: 15 }
  return { chunkSize: (rawBytes >> 1) + 1024, params, pledgedSrcSize: rawBytes } as zlib.ZstdOptions
}

/** Reads a frame back, each of its pieces checked. */
export function readFrame(pack: number, frame: Frame, stored: Buffer): Buffer {
  const part = stored.subarray(0, frame.storedBytes)
  for (let done = 0; done < part.length;) {
    const count = readSync(pack, part, done, part.length - done, frame.start + done)
    if (count === 0) throw new Error('the pack ended early')
    done += count
  }
  return zlib.zstdDecompressSync(part, { chunkSize: frame.rawBytes + 64, maxOutputLength: frame.rawBytes })
}

export function checkPiece(raw: Buffer, { offset, length, hash }: Piece): Buffer {
  const content = raw.subarray(offset, offset + length)
  if (crypto.hash('sha256', content, 'hex') !== hash) throw new Error('a piece is damaged')
  return content
}
