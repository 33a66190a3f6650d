/** Bytes handed out between two collections. */
const COLLECT_EVERY_BYTES = 4 * 1024 * 1024
/** More than the nursery of V8 holds. */
const NURSERY_ITEMS = 256 * 1024

/**
 * To V8 a chunk is a small object, however much memory it holds, so a stream of chunks fills its nursery slowly and
 * some 75 MB of dead ones gather before it looks. Filling the nursery once in a while makes it look (0.2 ms).
 */
export function earlyCollector(): { sent(bytes: number): void } {
  let sentBytes = 0
  return {
    sent(bytes) {
      sentBytes += bytes
      if (sentBytes < COLLECT_EVERY_BYTES) return
      sentBytes = 0
      for (let made = 0; made < NURSERY_ITEMS;) made += Array<number>(1024).fill(made).length
    },
  }
}
