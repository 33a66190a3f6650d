import { singleChunk } from '../../single-chunk.ts'
import type { SnapshotProgressListener } from '../snapshot-progress.ts'
import type { RollbackPlan, Write } from './plan-rollback.ts'
import type { RollbackSource, RollbackState } from './rollback-source.ts'

/** What of a state a rollback will write. It has been read once, from beginning to end, and was whole. */
export interface StagedContent {
  readonly bytes: number
  /** Passes it on, one after the other; a number is given once. @throws `CORRUPT` for what was damaged since */
  pass(receive: ReceiveWrite, signal?: AbortSignal): Promise<void>
}

type ReceiveWrite = (write: Write, number: number, content: AsyncIterable<Uint8Array>) => Promise<void>

/** What fits in so much memory is read once only. */
const MAX_HELD_BYTES = 32 * 1024 * 1024

interface StageOptions {
  readonly onProgress?: SnapshotProgressListener | undefined
  readonly signal?: AbortSignal | undefined
}

/**
 * Reads all that a plan takes from a state, so that damage is met while nothing has been removed: the way back may need
 * the very object that is damaged. It is not put on the disk: a rollback has to work where an agent has filled it.
 * @throws `CORRUPT` naming the path
 */
export async function stageContent(
  source: RollbackSource,
  state: RollbackState,
  { writes }: Pick<RollbackPlan, 'writes'>,
  { onProgress, signal }: StageOptions = {},
): Promise<StagedContent> {
  const wanted = writes.filter(({ merged }) => merged === null)
  const held = new Map<number, Uint8Array>()
  let heldBytes = 0
  let bytesDone = 0
  await source.read(
    state,
    wanted,
    async (index, content) => {
      signal?.throwIfAborted()
      let parts: Uint8Array[] | null = []
      let bytes = 0
      for await (const part of content) {
        bytes += part.length
        bytesDone += part.length
        if (heldBytes + bytes > MAX_HELD_BYTES) parts = null
        parts?.push(part)
      }
      if (parts !== null) {
        held.set(index, Buffer.concat(parts))
        heldBytes += bytes
      }
      onProgress?.({ phase: 'write', filesDone: 0, filesExpected: writes.length, bytesDone })
    },
    signal,
  )
  const others = [...wanted.keys()].filter((number) => !held.has(number))
  return {
    bytes: bytesDone,
    async pass(receive, passSignal) {
      const pass = async (number: number, content: AsyncIterable<Uint8Array>): Promise<void> => {
        passSignal?.throwIfAborted()
        const write = wanted[number]
        if (write !== undefined) await receive(write, number, content)
      }
      for (const [number, content] of held) {
        await pass(number, singleChunk(content))
        held.delete(number)
      }
      await source.read(
        state,
        others.flatMap((number) => wanted[number] ?? []),
        (index, content) => pass(others[index] ?? 0, content),
        passSignal,
      )
    },
  }
}
