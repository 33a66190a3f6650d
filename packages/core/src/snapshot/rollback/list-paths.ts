/** The first few of them, for a sentence. */
export function listPaths(paths: readonly string[]): string {
  const shown = paths
    .slice(0, 5)
    .map((path) => JSON.stringify(path))
    .join(', ')
  return paths.length > 5 ? `${shown} and ${paths.length - 5} more` : shown
}
