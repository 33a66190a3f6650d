import { setImmediate } from 'node:timers/promises'

export interface TimeSlice {
  /** Gives the event loop a turn when synchronous work has held it for the slice's length; throws on abort. */
  pauseWhenDue(): Promise<void> | undefined
}

/** Keeps long synchronous work from starving the event loop. */
export function timeSlice(signal?: AbortSignal, lengthMs = 8): TimeSlice {
  let endsAt = performance.now() + lengthMs
  return {
    pauseWhenDue() {
      if (performance.now() < endsAt) return undefined
      return setImmediate().then(() => {
        signal?.throwIfAborted()
        endsAt = performance.now() + lengthMs
      })
    },
  }
}
