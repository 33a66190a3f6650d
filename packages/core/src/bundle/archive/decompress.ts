import { Buffer } from 'node:buffer'
import type { Transform } from 'node:stream'
import zlib from 'node:zlib'
import { WorkspaceError } from '../../errors.ts'
import { errnoOf } from '../../filesystem/filesystem-error.ts'
import { corrupt } from './archive-error.ts'
import type { BundleFormat } from '../bundle.ts'
import { releaseBuffer } from '../../store/release-buffer.ts'
import { createZstdFrameScanner } from './zstd-frames.ts'

const STREAM_CHUNK_BYTES = 512 * 1024
/** So much is decompressed on the thread pool while the thread is busy with what came before. */
const AHEAD_BYTES = 2 * 1024 * 1024
export interface Decompressed {
  readonly format: BundleFormat
  /** Pieces that are only valid until the next one is asked for. */
  readonly content: AsyncGenerator<Buffer, void, void>
}

/**
 * Tells the format by its first bytes and decompresses it. Accepts what the command line tools write: many frames or
 * members after each other, zstd's skippable frames. Refuses input that is cut off or followed by anything else.
 * @throws `INVALID_INPUT` when it is neither zstd nor gzip.
 */
export async function decompress(input: AsyncIterator<Uint8Array>): Promise<Decompressed> {
  const { head, rest } = await peek(input, 4)
  if (head.length === 0) throw unknownFormat('It is empty')
  if (head[0] === 0x1f && head[1] === 0x8b) return { format: 'tar.gz', content: gunzip(rest) }
  const magic = head.length === 4 ? head.readUInt32LE(0) : 0
  if (magic === 0xfd2fb528 || (magic & 0xfffffff0) >>> 0 === 0x184d2a50) {
    return { format: 'tar.zst', content: decompressZstd(rest) }
  }
  if (head.readUInt16LE(0) === 0x4b50) throw unknownFormat('It looks like a zip file')
  throw unknownFormat('Its first bytes are those of something else; a tar must be compressed')
}

async function peek(
  input: AsyncIterator<Uint8Array>,
  length: number,
): Promise<{ head: Buffer; rest: AsyncGenerator<Uint8Array, void, void> }> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  while (bytes < length) {
    const next = await input.next()
    if (next.done === true) break
    chunks.push(next.value)
    bytes += next.value.length
  }
  const start = Buffer.concat(chunks)
  async function* rest(): AsyncGenerator<Uint8Array, void, void> {
    if (start.length > 0) yield start
    for (;;) {
      const next = await input.next()
      if (next.done === true) return
      yield next.value
    }
  }
  const head = start.subarray(0, length)
  return { head: head.length === 1 ? Buffer.concat([head, Buffer.alloc(1)]) : head, rest: rest() }
}

function unknownFormat(finding: string): WorkspaceError {
  return new WorkspaceError(
    'INVALID_INPUT',
    `This is not a bundle. ${finding}. A tar.zst or tar.gz is needed.`,
    { details: { input: 'archive' } },
  )
}

async function* gunzip(input: AsyncGenerator<Uint8Array, void, void>): AsyncGenerator<Buffer, void, void> {
  let received = 0
  const decoder = zlib.createGunzip({ chunkSize: STREAM_CHUNK_BYTES })
  async function* counted(): AsyncGenerator<Uint8Array, void, void> {
    for await (const chunk of input) {
      received += chunk.length
      yield chunk
    }
  }
  yield* decode(counted(), decoder)
  // The decoder takes a NUL after a member for padding and reads no further.
  if (decoder.bytesWritten !== received) throw corrupt('bytes follow its end')
}

/**
 * Node's decoder takes the rest of a write for garbage when a frame ends in it, and drops it without a word. Given
 * writes that end where frames end, it goes on with the next frame.
 */
async function* decompressZstd(
  input: AsyncGenerator<Uint8Array, void, void>,
): AsyncGenerator<Buffer, void, void> {
  const scanner = createZstdFrameScanner()
  async function* pieces(): AsyncGenerator<Uint8Array, void, void> {
    for await (const chunk of input) {
      yield* scanner.pieces(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength))
    }
    scanner.finish()
  }
  yield* decode(pieces(), zlib.createZstdDecompress({ chunkSize: STREAM_CHUNK_BYTES }))
}

/** Decompresses some way ahead of what is asked for, on the thread pool. */
async function* decode(
  input: AsyncGenerator<Uint8Array, void, void>,
  decoder: Transform,
): AsyncGenerator<Buffer, void, void> {
  const ahead = chunkQueue(decoder)
  let isFed = false
  feed(input, decoder).then(
    () => (isFed = true),
    (error: unknown) => decoder.destroy(error instanceof Error ? error : new Error(String(error))),
  )
  let last: Buffer | null = null
  try {
    for (let chunk = await ahead.next(); chunk !== null; chunk = await ahead.next()) {
      // Output is cut from one buffer until that is full; a piece of the next one says that it is.
      if (last !== null && last.buffer !== chunk.buffer) releaseBuffer(last)
      last = chunk
      yield chunk
    }
    // A decoder that ends by itself leaves the write unanswered in which it found its end.
    if (!isFed) throw corrupt('bytes follow its end')
  } catch (error) {
    throw toCorrupt(error)
  } finally {
    decoder.destroy()
  }
}

/** The output in the pieces in which it comes: reading the stream would join those that wait. */
function chunkQueue(decoder: Transform): { next(): Promise<Buffer | null> } {
  const chunks: Buffer[] = []
  let bytes = 0
  let isOver = false
  let failure: { readonly error: unknown } | null = null
  let wake: (() => void) | undefined
  decoder.on('data', (chunk: Buffer) => {
    chunks.push(chunk)
    bytes += chunk.length
    if (bytes >= AHEAD_BYTES) decoder.pause()
    wake?.()
  })
  decoder.on('error', (error) => {
    failure ??= { error }
    wake?.()
  })
  decoder.on('close', () => {
    isOver = true
    wake?.()
  })
  return {
    async next() {
      for (;;) {
        if (failure !== null) throw failure.error
        const chunk = chunks.shift()
        if (chunk !== undefined) {
          bytes -= chunk.length
          if (bytes < AHEAD_BYTES && decoder.isPaused()) decoder.resume()
          return chunk
        }
        if (isOver) return null
        await new Promise<void>((resolve) => (wake = resolve))
      }
    },
  }
}

async function feed(input: AsyncGenerator<Uint8Array, void, void>, decoder: Transform): Promise<void> {
  for await (const piece of input) {
    await new Promise<void>((resolve, reject) => {
      decoder.write(piece, (error) => (error ? reject(error) : resolve()))
    })
  }
  decoder.end()
}

function toCorrupt(error: unknown): unknown {
  const code = errnoOf(error) ?? ''
  if (code === 'Z_BUF_ERROR') return corrupt('it is cut off', error)
  if (/^(Z_|ZSTD_|ERR_BUFFER_TOO_LARGE)/.test(code)) return corrupt('it does not decompress', error)
  return error
}
