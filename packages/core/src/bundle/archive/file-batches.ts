import { Buffer } from 'node:buffer'
import { receiveMessageOnPort, type MessagePort } from 'node:worker_threads'
import { WorkspaceError } from '../../errors.ts'
import type { ByteString } from '../../filesystem/directory-handle.ts'
import { fromFailure, type ThreadFailure } from '../thread-failure.ts'
import { copyBytes } from '../copy-bytes.ts'

/** What the reader of an archive shares with a second thread that writes small files for it. */
export interface BatchMemory {
  /** See `FINISHED` and `STATE`. */
  readonly control: Int32Array<SharedArrayBuffer>
  /** The content of a batch each, used in turn. */
  readonly slots: readonly SharedArrayBuffer[]
}

export interface FileBatch {
  readonly slot: number
  readonly files: readonly BatchedFile[]
}

interface BatchedFile {
  /** Absolute. */
  readonly path: ByteString
  /** For messages. */
  readonly name: ByteString
  readonly mode: number
  readonly mtime: number
  /** In the slot. */
  readonly offset: number
  readonly length: number
}

/** Index in `control`: how many batches are done, in the order in which they were sent. */
export const FINISHED = 0
/** Index in `control`: one of the states. */
export const STATE = 1

export const RUNNING = 0
/** No further file is to be written. Where a file could not be, the failure is on its way as a message. */
export const STOPPED = 1

const SLOTS = 4
const SLOT_BYTES = 512 * 1024
/** Files up to this size are worth their copy. */
const MAX_FILE_BYTES = 128 * 1024
const MAX_BATCH_FILES = 128

export function createBatchMemory(): BatchMemory {
  return {
    control: new Int32Array(new SharedArrayBuffer(8)),
    slots: Array.from({ length: SLOTS }, () => new SharedArrayBuffer(SLOT_BYTES)),
  }
}

/** Hands small files to the second thread as far as it keeps up. */
export interface FileBatches {
  /** False when the file must be written here: it is too large, or the other thread has enough to do. */
  begin(file: Omit<BatchedFile, 'offset'>): boolean
  /** Content of the file that was begun last. */
  add(bytes: Uint8Array): void
  /** Waits, without turns of the event loop, until everything that was handed over is there. @throws what failed */
  settle(): void
  /** Ends the conversation. What is not written yet is not wanted any more. */
  close(): void
}

export function createFileBatches({ control, slots }: BatchMemory, port: MessagePort): FileBatches {
  const contents = slots.map((slot) => Buffer.from(slot))
  let sent = 0
  let files: BatchedFile[] = []
  let used = 0

  function check(): void {
    const state = Atomics.load(control, STATE)
    if (state === RUNNING) return
    const received = receiveMessageOnPort(port) as { readonly message: ThreadFailure } | undefined
    if (received !== undefined) throw fromFailure(received.message)
    throw new WorkspaceError('INTERNAL', 'A thread that wrote files ended before its work.')
  }

  function send(): void {
    if (files.length === 0) return
    port.postMessage({ slot: sent % SLOTS, files } satisfies FileBatch)
    sent += 1
    files = []
    used = 0
  }

  return {
    begin(file) {
      check()
      if (file.length > MAX_FILE_BYTES) return false
      if (used + file.length > SLOT_BYTES || files.length >= MAX_BATCH_FILES) send()
      if (files.length === 0 && sent - Atomics.load(control, FINISHED) >= SLOTS) return false
      files.push({ ...file, offset: used })
      return true
    },
    add(bytes) {
      const content = contents[sent % SLOTS]
      if (content !== undefined) copyBytes(bytes, content, used)
      used += bytes.length
    },
    settle() {
      send()
      for (let done = Atomics.load(control, FINISHED); done < sent; done = Atomics.load(control, FINISHED)) {
        check()
        Atomics.wait(control, FINISHED, done)
      }
      check()
    },
    close() {
      Atomics.store(control, STATE, STOPPED)
      port.close()
    },
  }
}
