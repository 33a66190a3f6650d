import { createHash } from 'node:crypto'
import type { RequestRetries } from '@ws/core'
import type { BodyBlock } from './body-blocks.ts'

export interface StageBlocksOptions {
  readonly blocks: AsyncIterable<BodyBlock>
  readonly blocksInFlight: number
  /** Sends one block and gives its id. Its signal aborts when the upload fails. */
  readonly stage: (index: number, bytes: Uint8Array, md5: Uint8Array, signal: AbortSignal) => Promise<string>
  /** For a block: whoever called cannot repeat it, because it is in memory only here. */
  readonly retries: RequestRetries
  readonly signal: AbortSignal | undefined
  /** Told the bytes of the blocks that have arrived. */
  readonly onProgress: ((bytes: number) => void) | undefined
}

export interface StagedBlocks {
  /** In the order of the body. */
  readonly ids: readonly string[]
  readonly bytes: number
  /** Of the whole body. */
  readonly md5: Uint8Array
}

/**
 * Sends blocks while the next are read, no more than `blocksInFlight` at a time. When anything fails, the others are
 * aborted and the source is stopped. Whatever ends it, no request is running afterwards.
 */
export async function stageBlocks(options: StageBlocksOptions): Promise<StagedBlocks> {
  const { blocks, blocksInFlight, stage, retries, signal, onProgress } = options
  const failing = new AbortController()
  const stop = signal === undefined ? failing.signal : AbortSignal.any([signal, failing.signal])
  const running = new Set<Promise<void>>()
  const ids: string[] = []
  const whole = createHash('md5')
  let failure: { readonly error: unknown } | null = null
  let bytes = 0
  let arrived = 0
  const send = async (index: number, block: BodyBlock): Promise<void> => {
    const md5 = createHash('md5').update(block.bytes).digest()
    ids[index] = await retries.repeat(() => stage(index, block.bytes, md5, stop), stop)
    arrived += block.bytes.length
    onProgress?.(arrived)
    block.release()
  }
  const source = blocks[Symbol.asyncIterator]()
  let onFailure = (): void => undefined
  // A source may wait for long, and a block be refused meanwhile.
  const nextUnlessFailed = () =>
    new Promise<IteratorResult<BodyBlock> | null>((resolve, reject) => {
      onFailure = () => resolve(null)
      if (failure === null) source.next().then(resolve, reject)
      else resolve(null)
    })
  try {
    for (;;) {
      const next = await nextUnlessFailed()
      if (next === null || next.done === true) break
      const block = next.value
      whole.update(block.bytes)
      bytes += block.bytes.length
      const sending = send(ids.length, block)
        .catch((error: unknown) => {
          failure ??= { error }
          onFailure()
        })
        .finally(() => running.delete(sending))
      ids.push('')
      running.add(sending)
      while (running.size >= blocksInFlight) await Promise.race(running)
    }
  } catch (error) {
    failure ??= { error }
  }
  if (failure !== null) {
    failing.abort()
    // Not waited for: one that waits itself ends only then.
    source.return?.().catch(() => undefined)
  }
  await Promise.all(running)
  if (failure !== null) throw (failure as { readonly error: unknown }).error
  return { ids, bytes, md5: whole.digest() }
}
