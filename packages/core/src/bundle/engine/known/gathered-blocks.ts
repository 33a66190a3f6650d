import { Buffer } from 'node:buffer'

const BLOCK_BYTES = 64 * 1024

/** Gathers many small parts in large blocks, so that there is one copy of them and not as many as they are put together. */
export interface GatheredBlocks {
  /** Copies the part. */
  push(part: Buffer): void
  finish(): readonly Buffer[]
}

export function gatherBlocks(): GatheredBlocks {
  const full: Buffer[] = []
  let block = Buffer.alloc(0)
  let used = 0
  const flush = (): void => {
    if (used > 0) full.push(block.subarray(0, used))
    block = Buffer.alloc(0)
    used = 0
  }
  return {
    push(part) {
      if (block.length - used < part.length) {
        flush()
        block = Buffer.allocUnsafe(Math.max(BLOCK_BYTES, part.length))
      }
      used += part.copy(block, used)
    },
    finish() {
      flush()
      return full
    },
  }
}
