/**
 * For adapters: ends with the signal's reason when it aborts, also where what is waited for never ends, as a token that is
 * asked of somebody else.
 * @param drop is given what comes after that
 */
export function unlessAborted<Result>(
  waited: Promise<Result>,
  signal: AbortSignal | null | undefined,
  drop: (late: Result) => void = () => undefined,
): Promise<Result> {
  if (signal === undefined || signal === null) return waited
  return new Promise((resolve, reject) => {
    const abort = (): void => {
      reject(signal.reason)
      waited.then(drop, () => undefined)
    }
    if (signal.aborted) abort()
    else signal.addEventListener('abort', abort, { once: true })
    waited.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort))
  })
}
