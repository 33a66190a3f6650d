/** Things that were costly to make and wait for their next use. */
export interface IdlePool<T> {
  take(): T | undefined
  /** Only what nobody uses any more. */
  give(item: T): void
}

export interface IdlePoolOptions<T> {
  /** No more of them wait. */
  readonly maxItems: number
  /** Frees what waits no longer. @default nothing: the collector does */
  readonly discard?: (item: T) => void
}

/** The usual pause between two saves of a host that is at work. */
const IDLE_MS = 60_000

/** What has not been taken for a minute after the last one came is discarded; the timer keeps no process alive. */
export function idlePool<T>({ maxItems, discard = () => undefined }: IdlePoolOptions<T>): IdlePool<T> {
  const items: T[] = []
  let end: NodeJS.Timeout | undefined
  return {
    take: () => items.pop(),
    give(item) {
      if (items.length >= maxItems) {
        discard(item)
        return
      }
      items.push(item)
      clearTimeout(end)
      end = setTimeout(() => items.splice(0).forEach(discard), IDLE_MS).unref()
    },
  }
}
