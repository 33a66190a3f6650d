/** What stays in memory for its next use. */
export interface RecentlyUsed<Value> {
  get(key: string): Value | undefined
  has(key: string): boolean
  /** Makes it the newest. */
  set(key: string, value: Value): void
  delete(key: string): void
}

export interface RecentlyUsedLimits<Value> {
  readonly most: number
  /** Of all together. The newest stays whatever it weighs. @default no limit */
  readonly mostWeight?: number
  /** @default 1 */
  readonly weightOf?: (value: Value) => number
}

/** Keeps what was set last, within limits: the oldest goes first. */
export function recentlyUsed<Value>({
  most,
  mostWeight = Infinity,
  weightOf = () => 1,
}: RecentlyUsedLimits<Value>): RecentlyUsed<Value> {
  const kept = new Map<string, { readonly value: Value; readonly weight: number }>()
  let weight = 0
  const remove = (key: string): void => {
    weight -= kept.get(key)?.weight ?? 0
    kept.delete(key)
  }
  return {
    get: (key) => kept.get(key)?.value,
    has: (key) => kept.has(key),
    set(key, value) {
      remove(key)
      const added = { value, weight: weightOf(value) }
      kept.set(key, added)
      weight += added.weight
      for (const oldest of kept.keys()) {
        if (oldest === key || (kept.size <= most && weight <= mostWeight)) break
        remove(oldest)
      }
    },
    delete: remove,
  }
}
