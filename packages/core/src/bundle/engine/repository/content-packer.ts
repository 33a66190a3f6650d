import { Buffer } from 'node:buffer'
import { availableParallelism } from 'node:os'
import type { ContentId } from '../../format/content-id.ts'
import { copyBytes } from '../../copy-bytes.ts'
import { createFrameCompressor, plainFrame, type FrameContent } from '../../format/frame.ts'
import { MAX_PACK_CHUNKS } from '../../format/pack-index.ts'
import {
  createPackWriter,
  type FinishedPack,
  type FrameChunk,
  type PackWriter,
} from '../../format/pack-writer.ts'
import type { RepositoryKeys } from '../../format/repository-keys.ts'
import type { PackReference } from '../../format/version-record.ts'
import { releaseBuffer } from '../../../store/release-buffer.ts'
import { idlePool } from '../../idle-pool.ts'

/** Where finished packs go. */
export interface PackSink {
  /**
   * Resolves when another may come, with the memory of a pack that is in the store, if there is one. The memory of the
   * bytes is the sink's from now on.
   */
  put(reference: PackReference, bytes: Uint8Array): Promise<ArrayBufferLike | null>
  /** Memory for a full pack, where the sink has some. */
  takeFull?(): ArrayBufferLike | null
}

/** Groups chunks into frames, compresses them on the thread pool while more come, and puts packs together. */
export interface ContentPacker {
  /** Copies the content. */
  add(kind: 'data' | 'tree', id: ContentId, content: Uint8Array): void
  /** To be awaited before more is added. */
  isFull(): boolean
  /** Hands on what is compressed, until there is room again. */
  drain(): Promise<void>
  /** Hands on everything. */
  finish(): Promise<readonly StoredPack[]>
  /** Frees what it holds, finished or not. */
  close(): void
}

export type StoredPack = Pick<FinishedPack, 'reference' | 'chunks'>

const FRAME_BYTES = 1024 * 1024
/** A frame takes whole chunks, of which one may begin just before its end. */
const BUFFER_BYTES = 2 * FRAME_BYTES
export const PACK_BYTES = 15 * 1024 * 1024
/** Each holds a frame's memory; one more than the cores gains nothing. */
const MAX_COMPRESSING = Math.min(3, Math.max(2, availableParallelism()))

interface OpenFrame {
  readonly kind: 'data' | 'tree'
  readonly compresses: boolean
  buffer: Buffer
  used: number
  chunks: FrameChunk[]
}

/** Of packers that are closed: enough for what a small save holds at a time. */
const idleBuffers = idlePool<Buffer>({ maxItems: 4, discard: releaseBuffer })

export function createContentPacker(keys: RepositoryKeys | null, sink: PackSink): ContentPacker {
  const spare: Buffer[] = []
  const takeBuffer = (): Buffer => spare.pop() ?? idleBuffers.take() ?? Buffer.allocUnsafeSlow(BUFFER_BYTES)
  const text = openFrame('data', true)
  const noise = openFrame('data', false)
  const tree = openFrame('tree', true)
  const queue: {
    kind: 'data' | 'tree'
    content: Promise<FrameContent>
    chunks: FrameChunk[]
    buffer: Buffer
  }[] = []
  const compressor = createFrameCompressor(MAX_COMPRESSING)
  const finished: StoredPack[] = []
  let writer: PackWriter | null = null
  let spareMemory: ArrayBufferLike | null = null

  const close = (frame: OpenFrame): void => {
    if (frame.chunks.length === 0) return
    const raw = frame.buffer.subarray(0, frame.used)
    const content = frame.compresses ? compressor.compress(raw) : Promise.resolve(plainFrame(raw))
    // Failures are met where the queue is drained.
    content.catch(() => undefined)
    queue.push({ kind: frame.kind, content, chunks: frame.chunks, buffer: frame.buffer })
    frame.buffer = Buffer.alloc(0)
    frame.used = 0
    frame.chunks = []
  }
  const finishPack = async (): Promise<void> => {
    if (writer === null) return
    const { bytes, reference, chunks } = writer.finish()
    writer = null
    finished.push({ reference, chunks })
    spareMemory = await sink.put(reference, bytes)
  }
  const takeOne = async (): Promise<void> => {
    const next = queue.shift()
    if (next === undefined) return
    const content = await next.content
    if (writer === null) {
      writer = createPackWriter(keys, { spare: spareMemory, takeFull: () => sink.takeFull?.() ?? null })
      spareMemory = null
    }
    writer.addFrame(next.kind, content, next.chunks)
    if (content.payload.buffer !== next.buffer.buffer) releaseBuffer(content.payload)
    spare.push(next.buffer)
    if (writer.bytes() >= PACK_BYTES || writer.chunkCount() >= MAX_PACK_CHUNKS / 2) await finishPack()
  }
  return {
    add(kind, id, content) {
      const frame = kind === 'tree' ? tree : looksRandom(content) ? noise : text
      if (frame.buffer.length - frame.used < content.length || frame.chunks.length >= MAX_FRAME_CHUNKS) {
        close(frame)
        frame.buffer = content.length > BUFFER_BYTES ? Buffer.allocUnsafeSlow(content.length) : takeBuffer()
      }
      copyBytes(content, frame.buffer, frame.used)
      frame.chunks.push({ id, offset: frame.used, length: content.length })
      frame.used += content.length
      if (frame.used >= FRAME_BYTES) close(frame)
    },
    isFull: () => queue.length >= MAX_COMPRESSING,
    async drain() {
      while (queue.length >= MAX_COMPRESSING) await takeOne()
    },
    async finish() {
      for (const frame of [text, noise, tree]) close(frame)
      while (queue.length > 0) await takeOne()
      await finishPack()
      return finished
    },
    close() {
      compressor.close()
      for (const frame of [text, noise, tree]) {
        spare.push(frame.buffer)
        frame.buffer = Buffer.alloc(0)
      }
      spare.splice(0).forEach(giveBuffer)
    },
  }
}

function openFrame(kind: 'data' | 'tree', compresses: boolean): OpenFrame {
  return { kind, compresses, buffer: Buffer.alloc(0), used: 0, chunks: [] }
}

function giveBuffer(buffer: Buffer): void {
  if (buffer.length === BUFFER_BYTES) idleBuffers.give(buffer)
  else releaseBuffer(buffer)
}

/** So that an index of many tiny files stays within its frame. */
const MAX_FRAME_CHUNKS = 50_000
const SAMPLES = 4096
const MIN_SAMPLED_BYTES = 16 * 1024
const counts = new Uint16Array(256)

/**
 * Whether compressing would be in vain: 4,096 bytes from all over the content have nearly the histogram of noise. For
 * noise the sum of squares is about n²/256 + n = 69,632 (± 360); text and programs have several times that.
 */
function looksRandom(content: Uint8Array): boolean {
  const { length } = content
  if (length < MIN_SAMPLED_BYTES) return false
  counts.fill(0)
  // An odd step, so that records of a power of two do not give the same byte each time.
  const step = Math.floor(length / SAMPLES) | 1
  for (let sample = 0, position = 0; sample < SAMPLES; sample += 1) {
    const byte = content[position] as number
    counts[byte] = (counts[byte] as number) + 1
    position += step
    // A division for each sample would take three times as long as all the rest.
    if (position >= length) position -= length
  }
  let squares = 0
  for (let byte = 0; byte < 256; byte += 1) squares += (counts[byte] as number) ** 2
  return squares < 72_000
}
