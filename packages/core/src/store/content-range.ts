/** For adapters: whether an answer says itself that it is not the range that was asked for. @param field its `Content-Range` */
export function isOtherRange(field: string | null, start: number, size: number): boolean {
  const part = parseContentRange(field)
  return field !== null && (part?.start !== start || part.size !== size)
}

/** For adapters: what `bytes 10-19/1000` says of an answer; `null` for what says nothing. */
export function parseContentRange(
  field: string | null | undefined,
): { readonly start: number; readonly end: number; readonly size: number } | null {
  const match = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(field ?? '')
  if (match === null) return null
  const [start = 0, last = 0, size = 0] = match.slice(1).map(Number)
  return { start, end: last + 1, size }
}
