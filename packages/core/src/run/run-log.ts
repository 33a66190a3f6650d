import { WorkspaceError } from '../errors.ts'
import type { RunEvent, RunEventFacts, RunStep } from './run-event.ts'
import type { RunProgress } from './run-options.ts'
import { recordError } from './run-record.ts'
import type { RunStatus } from './run-result.ts'

/** An event without the facts that every event carries. */
type EventBody = RunEvent extends infer Each
  ? Each extends RunEvent
    ? Omit<Each, keyof RunEventFacts>
    : never
  : never

type ProgressOf<Step> = RunProgress extends infer Each
  ? Each extends { readonly step: infer Steps }
    ? Step extends Steps
      ? Omit<Each, 'step'>
      : never
    : never
  : never

/** Events, warnings and the first error of one run. */
export interface RunLog {
  emit(event: EventBody): void
  warn(message: string): void
  /** What a step takes as its `onProgress`. */
  progressOf<Step extends RunProgress['step']>(step: Step): ((progress: ProgressOf<Step>) => void) | undefined
  /** Does a step that must not end the run: its failure is noted and gives `null`. */
  attempt<T>(step: RunStep, action: () => Promise<T>): Promise<T | null>
  firstError(): WorkspaceError | null
  warnings(): readonly string[]
  /** Emits the last event and tells the run's times. */
  finish(status: RunStatus): {
    readonly startedAt: string
    readonly finishedAt: string
    readonly durationMs: number
  }
}

export function createRunLog(run: {
  readonly runId: string
  readonly workspaceId: string
  readonly onEvent: ((event: RunEvent) => void) | undefined
  readonly onProgress?: ((progress: RunProgress) => void) | undefined
}): RunLog {
  const { runId, workspaceId, onEvent, onProgress } = run
  const startedAt = new Date()
  const startedAtMs = performance.now()
  const warnings: string[] = []
  let first: WorkspaceError | null = null

  const log: RunLog = {
    emit(event) {
      if (onEvent === undefined) return
      const facts: RunEventFacts = { runId, workspaceId, at: new Date().toISOString() }
      try {
        // A listener declared async is legal JavaScript; its rejection must not become an unhandled one.
        const returned: unknown = onEvent({ ...event, ...facts })
        if (returned instanceof Promise)
          returned.catch((error: unknown) => log.warn(listenerFailed(event.type, error)))
      } catch (error) {
        log.warn(listenerFailed(event.type, error))
      }
    },
    warn(message) {
      warnings.push(message)
    },
    progressOf(step) {
      if (onProgress === undefined) return undefined
      return (progress) => {
        const onFailure = (error: unknown): void => {
          const warning = listenerFailed('progress', error)
          if (!warnings.includes(warning)) log.warn(warning)
        }
        try {
          const returned: unknown = onProgress({ step, ...progress } as unknown as RunProgress)
          if (returned instanceof Promise) returned.catch(onFailure)
        } catch (error) {
          onFailure(error)
        }
      }
    },
    async attempt(step, action) {
      try {
        return await action()
      } catch (cause) {
        const error = asWorkspaceError(cause, step)
        if (first === null) first = error
        else log.warn(`The step ${step} failed too: ${error.message}`)
        log.emit({ type: 'workspace_step_failed', step, code: error.code, message: error.message })
        return null
      }
    },
    firstError: () => first,
    warnings: () => warnings,
    finish(status) {
      const durationMs = Math.round(performance.now() - startedAtMs)
      log.emit({ type: 'run_finished', status, durationMs })
      return { startedAt: startedAt.toISOString(), finishedAt: new Date().toISOString(), durationMs }
    },
  }
  return log
}

function asWorkspaceError(error: unknown, step: RunStep): WorkspaceError {
  const { code, message } = recordError(error)
  if (code !== null) return error as WorkspaceError
  return new WorkspaceError('INTERNAL', `The step ${step} failed: ${message}`, { cause: error })
}

function listenerFailed(type: string, error: unknown): string {
  return `The listener for events threw at ${type}: ${recordError(error).message}`
}
