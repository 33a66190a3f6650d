// Node 20 has no `isMarkedAsUntransferable`: imported by name, it would be a SyntaxError in the place of the sentence about Node.
import workerThreads from 'node:worker_threads'

/**
 * Gives the memory of a buffer back now instead of at the next collection. V8 lets some 64 MB of dead buffers gather in
 * each thread before it collects them; that is the larger part of what a stream of big buffers takes. Nothing may use
 * the memory any more, also not through another view. Small ones of Node's pool stay.
 */
export function releaseBuffer({ buffer }: Uint8Array): void {
  if (!(buffer instanceof ArrayBuffer) || buffer.detached || workerThreads.isMarkedAsUntransferable(buffer))
    return
  buffer.transfer(0)
}
