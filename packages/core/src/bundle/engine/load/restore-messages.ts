import type { RepositoryKeys } from '../../format/repository-keys.ts'
import type { ThreadFailure } from '../../thread-failure.ts'
import type { FrameJob, WrittenFile } from './restore-frame.ts'

/** What a thread is told once, before the frames of a load. */
export interface RestoreTask {
  readonly keys: RepositoryKeys | null
}

export interface RestoreCall extends FrameJob {
  readonly call: number
  readonly stored: Uint8Array
}

export interface RestoreReply {
  readonly call: number
  readonly damaged: readonly number[]
  readonly damage: ThreadFailure | null
  /** See `packWritten`. */
  readonly written: BigInt64Array<ArrayBuffer>
  /** The frame could not be worked on at all: the disk is full, for example. */
  readonly failure: ThreadFailure | null
}

const FIELDS = 4

/** As one piece of memory, which goes from thread to thread without a copy. */
export function packWritten(files: readonly WrittenFile[]): BigInt64Array<ArrayBuffer> {
  const packed = new BigInt64Array(files.length * FIELDS)
  files.forEach(({ file, inode, ctimeNs, mtimeNs }, index) => {
    const start = index * FIELDS
    packed[start] = BigInt(file)
    packed[start + 1] = inode
    packed[start + 2] = ctimeNs
    packed[start + 3] = mtimeNs
  })
  return packed
}

export function unpackWritten(packed: BigInt64Array): WrittenFile[] {
  return Array.from({ length: packed.length / FIELDS }, (_, index) => {
    const start = index * FIELDS
    return {
      file: Number(packed[start]),
      inode: packed[start + 1] ?? 0n,
      ctimeNs: packed[start + 2] ?? 0n,
      mtimeNs: packed[start + 3] ?? 0n,
    }
  })
}
