import { Buffer } from 'node:buffer'
import crypto, { createHmac } from 'node:crypto'
import type { RepositoryKeys } from './repository-keys.ts'
import { chunkerModule, MAX_PAGES } from './chunker-module.ts'

export const MIN_CHUNK_BYTES = 64 * 1024
const NORMAL_CHUNK_BYTES = 256 * 1024
export const MAX_CHUNK_BYTES = 1024 * 1024
/** 20 high bits before the normal length, 16 after it: cuts gather around the normal length. */
const EARLY_MASK = 0xffff_f000 | 0
const LATE_MASK = 0xffff_0000 | 0

/**
 * Cuts content where its own bytes say so, so that a change moves only the cuts near it: a Gear rolling hash with two
 * masks (Xia et al., "FastCDC", USENIX ATC 2016).
 */
export interface Chunker {
  /** Put the content at the beginning of it; it may be written over at any time. */
  readonly buffer: Buffer
  /**
   * The end of the chunk that begins at `start`: a cut, or `end` when the content ends there.
   * Where the content goes on behind `end`, and `end - start` is less than `MAX_CHUNK_BYTES`, only what is before `end`
   * is a cut.
   */
  cut(start: number, end: number): number
  /** With which another thread can do the same; `null` without WebAssembly. */
  readonly memory: ChunkerMemory | null
}

/** Neither the DOM's types nor Node's declare as much of it as is used here. */
const { WebAssembly: webAssembly } = globalThis as unknown as {
  readonly WebAssembly: {
    readonly Memory: new (size: { initial: number; maximum: number; shared: true }) => ChunkerMemory
    readonly Module: new (code: Uint8Array) => object
    readonly Instance: new (module: object, imports: object) => { readonly exports: Record<string, unknown> }
  }
}

/** The gear table and the buffer of a chunker, which threads may hand to one another. */
export interface ChunkerMemory {
  readonly buffer: ArrayBuffer
}

const WASM_PAGE_BYTES = 64 * 1024
const GEAR_BYTES = 1024

/** @param bytes the least size of its buffer */
export function createChunker(keys: RepositoryKeys | null, bytes: number): Chunker {
  const gear = gearTable(keys)
  const memory = createChunkerMemory(gear, bytes)
  return memory === null ? createPlainChunker(gear, bytes) : openChunker(memory)
}

/** The same cuts without WebAssembly, for hosts that forbid it. */
export function createPlainChunker(gear: Int32Array, bytes: number): Chunker {
  const buffer = Buffer.allocUnsafeSlow(bytes)
  return {
    buffer,
    memory: null,
    cut(start, end) {
      const last = Math.min(end, start + MAX_CHUNK_BYTES)
      const normal = Math.min(last, start + NORMAL_CHUNK_BYTES)
      let rolling = 0
      let position = start + MIN_CHUNK_BYTES
      if (position >= last) return last
      for (; position < normal; position += 1) {
        rolling = ((rolling << 1) + (gear[buffer[position] as number] as number)) | 0
        if ((rolling & EARLY_MASK) === 0) return position + 1
      }
      for (; position < last; position += 1) {
        rolling = ((rolling << 1) + (gear[buffer[position] as number] as number)) | 0
        if ((rolling & LATE_MASK) === 0) return position + 1
      }
      return last
    },
  }
}

/** @returns `null` where WebAssembly is not allowed */
export function createChunkerMemory(gear: Int32Array, bytes: number): ChunkerMemory | null {
  try {
    const pages = Math.ceil((GEAR_BYTES + bytes) / WASM_PAGE_BYTES)
    const memory = new webAssembly.Memory({ initial: pages, maximum: MAX_PAGES, shared: true })
    new Int32Array(memory.buffer, 0, gear.length).set(gear)
    return memory
  } catch {
    return null
  }
}

/** The content in the memory of a chunker. */
export function bufferOf({ buffer }: ChunkerMemory): Buffer {
  return Buffer.from(buffer, GEAR_BYTES)
}

let module: object | null = null

/** Also over memory that another thread has made. */
export function openChunker(memory: ChunkerMemory): Chunker {
  module ??= new webAssembly.Module(chunkerModule)
  const { cut } = new webAssembly.Instance(module, { host: { memory } }).exports
  if (typeof cut !== 'function') throw new TypeError('the chunker exports nothing to call')
  return {
    buffer: bufferOf(memory),
    memory,
    cut: (start, end) => (cut(GEAR_BYTES + start, GEAR_BYTES + end) as number) - GEAR_BYTES,
  }
}

let plainTable: Int32Array | null = null

/** What each byte adds to the rolling hash. Keyed in an encrypted repository, where chunk lengths could tell of content. */
export function gearTable(keys: RepositoryKeys | null): Int32Array {
  return keys === null ? (plainTable ??= makeGearTable(null)) : makeGearTable(keys)
}

function makeGearTable(keys: RepositoryKeys | null): Int32Array {
  const table = new Int32Array(256)
  for (let byte = 0; byte < 256; byte += 1) {
    const seed = Buffer.concat([Buffer.from('ws-gear-1'), Buffer.from([byte])])
    const digest =
      keys === null
        ? crypto.hash('sha256', seed, 'buffer')
        : createHmac('sha256', keys.chunker).update(seed).digest()
    table[byte] = digest.readInt32LE()
  }
  return table
}
