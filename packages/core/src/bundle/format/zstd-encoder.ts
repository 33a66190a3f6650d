import { Buffer } from 'node:buffer'
import zlib from 'node:zlib'
import { releaseBuffer } from '../../store/release-buffer.ts'
import { idlePool, type IdlePool } from '../idle-pool.ts'

/**
 * Makes a zstd frame of each block that it is given, one after the other, on the thread pool. Its tables and its output
 * memory serve all of them: taking them anew for each block costs a fifth of the time, and leaves so much memory behind
 * that the collector runs all the time.
 */
export interface ZstdEncoder {
  /** The frame, in memory of its own. `block` must stay as it is until then. */
  encode(block: Uint8Array): Promise<Buffer>
  close(): void
}

export interface ZstdEncoderOptions {
  /** By number, as `node:zlib` takes them. */
  readonly params: Readonly<Record<number, number | boolean>>
  /** The largest block. */
  readonly blockBytes: number
}

/** Of one kind, each with some MiB of tables and output. */
const MAX_IDLE = 3
const idleEncoders = new WeakMap<ZstdEncoderOptions, IdlePool<ZstdEncoder>>()

/**
 * An encoder that somebody else has closed less than a minute ago, or a new one. Whoever makes new ones all the time makes
 * V8 collect all the time, for it counts their memory.
 * @param options the same object for all that can stand in for each other
 */
export function borrowZstdEncoder(options: ZstdEncoderOptions): ZstdEncoder {
  let idle = idleEncoders.get(options)
  if (idle === undefined) {
    idle = idlePool({ maxItems: MAX_IDLE, discard: (encoder) => encoder.close() })
    idleEncoders.set(options, idle)
  }
  const pool = idle
  const encoder = pool.take() ?? createZstdEncoder(options)
  let last: Promise<unknown> = Promise.resolve()
  return {
    encode: (block) => (last = encoder.encode(block)) as Promise<Buffer>,
    close: () =>
      // One that has failed is of no use to anybody.
      void last.then(
        () => pool.give(encoder),
        () => encoder.close(),
      ),
  }
}

/** A block whose worst case does not fit into what is left of the output memory takes a detour of copies. */
const BLOCKS_OF_OUTPUT = 2

export function createZstdEncoder({ params, blockBytes }: ZstdEncoderOptions): ZstdEncoder {
  // Ending the frame with each write lets the compressor see all of a block, and its size, at once.
  const flush = zlib.constants.ZSTD_e_end
  const stream = zlib.createZstdCompress({
    params,
    flush,
    chunkSize: BLOCKS_OF_OUTPUT * worstCase(blockBytes),
  })
  let parts: Buffer[] = []
  let output: Buffer | null = null
  let last: Promise<unknown> = Promise.resolve()
  stream.on('data', (part: Buffer) => parts.push(part))

  /** The stream goes on to other memory when it has filled its own, never back. */
  const takeParts = (): Buffer => {
    const frame = Buffer.allocUnsafeSlow(parts.reduce((total, part) => total + part.length, 0))
    let offset = 0
    for (const part of parts) {
      offset += part.copy(frame, offset)
      if (output !== null && output.buffer !== part.buffer) releaseBuffer(output)
      output = part
    }
    parts = []
    return frame
  }
  const write = (block: Uint8Array): Promise<Buffer> =>
    new Promise((resolve, reject) => {
      stream.once('error', reject)
      stream.write(block, () => {
        stream.off('error', reject)
        resolve(takeParts())
      })
    })
  return {
    encode(block) {
      const frame = last.then(() => write(block))
      last = frame.catch(() => undefined)
      return frame
    },
    close() {
      void last.then(() => {
        stream.destroy()
        if (output !== null) releaseBuffer(output)
      })
    },
  }
}

/** What zstd asks for so that nothing can overflow. */
function worstCase(blockBytes: number): number {
  return blockBytes + (blockBytes >> 8) + 1024
}
