import { statfsSync } from 'node:fs'
import { tmpdir } from 'node:os'

const MEMORY_DISK = '/dev/shm'
/** Containers often have one of 64 MB, which a single object of the tests fills. */
const MIN_FREE_BYTES = 1024 ** 3

/** A disk in memory with room for what the tests store, where flushing costs nothing; else the temporary directory. */
export function memoryDisk(): string {
  try {
    const { bavail, bsize } = statfsSync(MEMORY_DISK)
    return bavail * bsize >= MIN_FREE_BYTES ? MEMORY_DISK : tmpdir()
  } catch {
    return tmpdir()
  }
}
