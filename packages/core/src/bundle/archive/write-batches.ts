import { Buffer } from 'node:buffer'
import type { MessagePort } from 'node:worker_threads'
import { toFilePath } from '../../filesystem/directory-handle.ts'
import { FINISHED, RUNNING, STATE, STOPPED, type BatchMemory, type FileBatch } from './file-batches.ts'
import { toFailure } from '../thread-failure.ts'
import { exclusive, writeFile } from './write-file.ts'

/** Writes the files of all batches that come, until the other side closes the port. */
export function writeBatches(
  { control, slots }: BatchMemory,
  port: MessagePort,
  umask: number,
): Promise<void> {
  const contents = slots.map((slot) => Buffer.from(slot))
  const write = ({ slot, files }: FileBatch): void => {
    const content = contents[slot]
    for (const { path, name, mode, mtime, offset, length } of files) {
      if (Atomics.load(control, STATE) !== RUNNING) return
      const bytes = content?.subarray(offset, offset + length) ?? Buffer.alloc(0)
      exclusive(name, () => writeFile(toFilePath(path), { mode, mtime }, bytes, umask))
    }
  }
  port.on('message', (batch: FileBatch) => {
    try {
      write(batch)
    } catch (error) {
      port.postMessage(toFailure(error))
      Atomics.store(control, STATE, STOPPED)
    }
    Atomics.add(control, FINISHED, 1)
    Atomics.notify(control, FINISHED)
  })
  return new Promise((resolve) => port.once('close', resolve))
}
