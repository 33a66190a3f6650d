import { Buffer } from 'node:buffer'
import { readBody, type ObjectBody, type PutOptions } from '@ws/core'

export interface BodyBlock {
  readonly bytes: Uint8Array
  readonly isLast: boolean
  /** Gives the memory back for a later block. */
  release(): void
}

/** Block counts end at 50,000; every 10,000 blocks the size doubles, so that a stream may have more than a terabyte. */
const BLOCKS_OF_ONE_SIZE = 10_000

/**
 * A body as blocks of `blockBytes`, the last one shorter. There is always a last one, for an empty body an empty one.
 * Of a stream, the bytes are copied, so the source may use its memory again; the memory of released blocks is reused.
 */
export async function* cutIntoBlocks(
  key: string,
  body: ObjectBody,
  options: Pick<PutOptions, 'size' | 'signal'>,
  blockBytes: number,
): AsyncGenerator<BodyBlock, void, undefined> {
  const spare: Buffer[] = []
  const take = (length: number): Buffer => {
    const memory = spare.pop()
    return memory?.length === length ? memory : Buffer.allocUnsafeSlow(length)
  }
  let count = 0
  let memory: Buffer | null = null
  let filled = 0
  const { size, signal } = options
  for await (const chunk of readBody(key, body, { size, signal })) {
    let position = 0
    while (position < chunk.length) {
      const length = blockBytes * 2 ** Math.floor(count / BLOCKS_OF_ONE_SIZE)
      if (memory !== null && filled === memory.length) {
        yield blockOf(memory, filled, spare, false)
        count += 1
        memory = null
        filled = 0
        continue
      }
      memory ??= take(Math.min(length, size ?? length))
      const part = Math.min(chunk.length - position, memory.length - filled)
      memory.set(chunk.subarray(position, position + part), filled)
      filled += part
      position += part
    }
  }
  yield blockOf(memory ?? Buffer.alloc(0), filled, spare, true)
}

function blockOf(memory: Buffer, length: number, spare: Buffer[], isLast: boolean): BodyBlock {
  return { bytes: memory.subarray(0, length), isLast, release: () => void spare.push(memory) }
}
