const CONCURRENCY = 8

/** Calls `work` for each item, a few at a time; rejects with the first failure, when what was begun has ended. */
export async function forEachConcurrently<T>(
  items: Iterable<T>,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const iterator = items[Symbol.iterator]()
  let failure: { readonly error: unknown } | null = null
  const run = async (): Promise<void> => {
    for (let next = iterator.next(); !next.done && failure === null; next = iterator.next()) {
      try {
        await work(next.value)
      } catch (error) {
        failure ??= { error }
      }
    }
  }
  await Promise.all(Array.from({ length: CONCURRENCY }, run))
  const failed = failure as { readonly error: unknown } | null
  if (failed !== null) throw failed.error
}
