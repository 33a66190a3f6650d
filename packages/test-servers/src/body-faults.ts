import { Transform, type TransformCallback } from 'node:stream'
import type { Fault } from './fault.ts'

type Direction = 'up' | 'down'

export interface BodyWatch {
  readonly fault: Fault | undefined
  readonly direction: Direction
  readonly bytesPerSecond: number
  /** Told of all bytes that pass. */
  readonly count: (bytes: number) => void
  /** Ends the connection with a reset. */
  readonly cut: () => void
}

/** What a body runs through on its way: counted, slowed down, damaged, cut or stalled. */
export function bodyFaults(watch: BodyWatch): Transform {
  let position = 0
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      const start = position
      position += chunk.length
      const limit = limitOf(watch)
      const passes = limit === null ? chunk : chunk.subarray(0, Math.max(0, limit - start))
      if (passes.length > 0) {
        watch.count(passes.length)
        this.push(flipped(passes, start, watch))
      }
      if (limit !== null && position >= limit) atLimit(watch, done)
      else pace(passes.length, watch.bytesPerSecond, done)
    },
    flush(done) {
      // Only a body that is shorter than the limit, or an empty one, comes to its end.
      if (limitOf(watch) === 0) atLimit(watch, done)
      else done()
    },
  })
}

function limitOf({ fault, direction }: BodyWatch): number | null {
  if (fault?.kind === `cut-${direction}` || fault?.kind === `stall-${direction}`)
    return 'afterBytes' in fault ? fault.afterBytes : null
  return fault?.kind === 'shorten' && direction === 'down' ? fault.toBytes : null
}

/** A stall is a callback that is never called: what comes behind waits, and so does the sender. */
function atLimit({ fault, cut }: BodyWatch, done: TransformCallback): void {
  if (fault?.kind === 'shorten') done()
  else if (fault?.kind === 'cut-up' || fault?.kind === 'cut-down') cut()
}

function flipped(chunk: Buffer, start: number, { fault, direction }: BodyWatch): Buffer {
  if (fault?.kind !== `flip-${direction}` || !('atByte' in fault)) return chunk
  const index = fault.atByte - start
  if (index < 0 || index >= chunk.length) return chunk
  const copy = Buffer.from(chunk)
  copy[index] = (copy[index] ?? 0) ^ 1
  return copy
}

function pace(bytes: number, bytesPerSecond: number, done: TransformCallback): void {
  if (bytesPerSecond === Number.POSITIVE_INFINITY) done()
  else setTimeout(done, (bytes / bytesPerSecond) * 1000)
}
