/** How long the answer to a beginning that nobody wants any more is waited for. */
const LATE_TIMEOUT_MS = 10_000

/**
 * For adapters: begins what has to be ended again, such as an upload in parts. An abort does not cut the request off, since
 * what was begun without an answer could not be ended: it rejects at once, and what has begun by then is ended behind it.
 * @param begin its signal only bounds how long that takes
 */
export async function beginUpload<Upload>(
  signal: AbortSignal | undefined,
  begin: (bound: AbortSignal | undefined) => Promise<Upload>,
  end: (late: Upload) => Promise<unknown>,
): Promise<Upload> {
  if (signal === undefined) return begin(undefined)
  signal.throwIfAborted()
  const bound = new AbortController()
  const aborted = Promise.withResolvers<never>()
  const abort = (): void => {
    setTimeout(() => bound.abort(), LATE_TIMEOUT_MS).unref()
    aborted.reject(signal.reason)
  }
  signal.addEventListener('abort', abort, { once: true })
  const beginning = begin(bound.signal)
  try {
    return await Promise.race([beginning, aborted.promise])
  } catch (error) {
    // Where it is the beginning that has failed, there is nothing to end.
    beginning.then(end).catch(() => undefined)
    throw error
  } finally {
    signal.removeEventListener('abort', abort)
  }
}
