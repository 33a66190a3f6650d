import { WorkspaceError } from '../errors.ts'
import { setLongTimer } from '../set-long-timer.ts'
import type { RunOutcome } from './run-result.ts'

export interface RunAgentOptions {
  readonly signal: AbortSignal | undefined
  readonly timeoutMs: number | undefined
  readonly abortGraceMs: number
}

export interface AgentRun<T> {
  readonly outcome: RunOutcome<T>
  /** `null` once the agent has settled; else it was aborted, went on, and this resolves when it stops. */
  readonly stillRunning: Promise<void> | null
}

/**
 * Calls the agent and turns whatever happens into an outcome; never rejects. When the signal aborts or the time is
 * over, the agent gets `abortGraceMs` to stop; then the run goes on without it.
 */
export async function runAgent<T>(
  agent: (signal: AbortSignal) => Promise<T> | T,
  options: RunAgentOptions,
): Promise<AgentRun<T>> {
  const { signal, timeoutMs, abortGraceMs } = options
  const controller = new AbortController()
  const forward = () => controller.abort(signal?.reason)
  const cancelTimer =
    timeoutMs === undefined ? undefined : setLongTimer(() => controller.abort(timedOut(timeoutMs)), timeoutMs)
  if (signal?.aborted === true) forward()
  signal?.addEventListener('abort', forward, { once: true })

  const settled = (async () => agent(controller.signal))().then(
    (value): RunOutcome<T> => ({ status: 'completed', value }),
    (error: unknown): RunOutcome<T> => ({ status: 'failed', error }),
  )
  const graceTimer = new AbortController()
  try {
    const outcome = await Promise.race([settled, aborted(controller.signal, abortGraceMs, graceTimer.signal)])
    if (outcome === null) {
      return { outcome: abortedOutcome(controller.signal), stillRunning: settled.then(() => undefined) }
    }
    return {
      outcome: controller.signal.aborted ? abortedOutcome(controller.signal) : outcome,
      stillRunning: null,
    }
  } finally {
    graceTimer.abort()
    cancelTimer?.()
    signal?.removeEventListener('abort', forward)
  }
}

/** Resolves with null when the signal has been aborted for as long as the grace time. */
async function aborted(signal: AbortSignal, graceMs: number, unneeded: AbortSignal): Promise<null> {
  if (!signal.aborted) {
    await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
  }
  return new Promise((resolve) => {
    const cancel = setLongTimer(() => resolve(null), graceMs)
    unneeded.addEventListener('abort', cancel, { once: true })
  })
}

function abortedOutcome(signal: AbortSignal): { readonly status: 'aborted'; readonly error: unknown } {
  return { status: 'aborted', error: signal.reason }
}

function timedOut(timeoutMs: number): WorkspaceError {
  return new WorkspaceError(
    'TIMEOUT',
    `The agent was still running after ${timeoutMs} ms. Give it more time (timeoutMs) or a smaller task.`,
    { details: { timeoutMs } },
  )
}
