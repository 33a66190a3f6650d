/** Errors that nobody caught: a stream that was left alone brings down the whole process with one. */
export function watchStrayErrors(): { readonly errors: readonly unknown[]; end(): Promise<void> } {
  const errors: unknown[] = []
  const note = (error: unknown): void => void errors.push(error)
  const events = ['unhandledRejection', 'uncaughtException'] as const
  for (const event of events) process.on(event, note)
  return {
    errors,
    async end() {
      // They come up after the promises that wait already, and some with the next answer of the service.
      for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve))
      for (const event of events) process.off(event, note)
    },
  }
}
