/** The same items, with something done around the wait for each; not around what the consumer does in between. */
export async function* stepwise<T>(
  items: AsyncIterable<T>,
  around: (step: () => Promise<IteratorResult<T>>) => Promise<IteratorResult<T>>,
): AsyncGenerator<T, void, undefined> {
  const iterator = items[Symbol.asyncIterator]()
  let isAtEnd = false
  try {
    for (;;) {
      const next = await around(() => iterator.next())
      isAtEnd = next.done === true
      if (next.done === true) return
      yield next.value
    }
  } finally {
    // Not awaited: an iterator that is stuck answers only when that ends.
    if (!isAtEnd) iterator.return?.().catch(() => undefined)
  }
}

/** The same source, with something done around each pull. Begins when the source is begun. */
export function pullingWith<T>(
  source: AsyncIterable<T>,
  around: (pull: () => Promise<IteratorResult<T>>) => Promise<IteratorResult<T>>,
): AsyncIterable<T> {
  return {
    [Symbol.asyncIterator]() {
      const iterator = source[Symbol.asyncIterator]()
      return {
        next: () => around(() => iterator.next()),
        return: async () => (await iterator.return?.()) ?? { done: true, value: undefined },
      }
    },
  }
}
