import { setImmediate as nextTurn } from 'node:timers/promises'

/**
 * Call and await it in every round of a long synchronous loop: it lets other work run when this one has had its turn.
 * @param weight what the round was worth, in looks at a file. @default 1
 */
export type Pause = (weight?: number) => Promise<void> | undefined

const SLICE_MS = 12
const ROUNDS_PER_LOOK = 32

/** Also where an abort takes effect. @param onPause takes the number of rounds so far */
export function pauser(signal?: AbortSignal, onPause?: (rounds: number) => void): Pause {
  let rounds = 0
  let nextLook = ROUNDS_PER_LOOK
  let since = performance.now()
  return (weight = 1) => {
    rounds += weight
    if (rounds < nextLook) return undefined
    nextLook = rounds + ROUNDS_PER_LOOK
    if (performance.now() - since < SLICE_MS) return undefined
    signal?.throwIfAborted()
    onPause?.(rounds)
    return nextTurn().then(() => {
      since = performance.now()
    })
  }
}
