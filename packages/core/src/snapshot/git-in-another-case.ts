/**
 * `.git` in another case is the repository itself where case does not count, and git keeps no such name anywhere: no
 * backend captures it.
 */
export function isGitInAnotherCase(name: string): boolean {
  return name.length === 4 && name !== '.git' && name.toLowerCase() === '.git'
}
