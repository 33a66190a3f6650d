/**
 * How a message shows what a caller gave. Not by `JSON.stringify` alone, which throws for a BigInt and for what holds itself,
 * and shows NaN as null and a Symbol as nothing.
 */
export function describeValue(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value)
  if (typeof value === 'bigint') return `${value}n`
  if (typeof value === 'function') return 'a function'
  if (Array.isArray(value)) return 'a list'
  return typeof value === 'object' && value !== null ? 'an object' : String(value)
}
