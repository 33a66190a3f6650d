import { describeValue } from '../describe-value.ts'
import { WorkspaceError } from '../errors.ts'
import { parentOf, toBytePath, type BytePath } from './byte-path.ts'
import { wildmatch } from './git/walk/wildmatch.ts'

/** Which files count although they are ignored, and are kept out of patches. */
export interface PreciousRules {
  readonly patterns: readonly string[]
  /** Changes with the rules. */
  readonly key: string
  matches(path: BytePath, name: BytePath): boolean
  /** Whether a path below an ignored directory may match, so that it has to be looked into. */
  mayMatchBelow(directory: BytePath): boolean
}

const noPreciousRules: PreciousRules = {
  patterns: [],
  key: '',
  matches: () => false,
  mayMatchBelow: () => false,
}

const options = { isPath: true, ignoreCase: false }

/**
 * A pattern without a slash matches a name at any depth outside of ignored directories; one with a slash is a path from
 * the workspace on, and leads into ignored directories. `*`, `?`, brackets and `**` are those of ignore files.
 * @throws `INVALID_INPUT` for a pattern that is empty, absolute, or leads out of the workspace
 */
export function parsePreciousRules(patterns: readonly string[]): PreciousRules {
  if (patterns.length === 0) return noPreciousRules
  const names: string[] = []
  const paths: string[][] = []
  for (const pattern of patterns) {
    const parts = pattern.split('/').filter((part) => part !== '' && part !== '.')
    if (parts.length === 0 || parts.includes('..') || pattern.startsWith('/') || pattern.includes('\0')) {
      throw new WorkspaceError(
        'INVALID_INPUT',
        `The precious pattern ${describeValue(pattern)} names no file of the workspace. Use a name such as ".env" or a relative path.`,
        { details: { pattern } },
      )
    }
    if (parts.length === 1 && !pattern.includes('/')) names.push(toBytePath(pattern))
    else paths.push(parts.map(toBytePath))
  }
  const whole = paths.map((parts) => parts.join('/'))
  const matchesItself = (path: BytePath, name: BytePath) =>
    names.some((pattern) => wildmatch(pattern, name, options)) ||
    whole.some((pattern) => wildmatch(pattern, path, options))
  return {
    patterns,
    key: JSON.stringify(patterns),
    matches: matchesItself,
    mayMatchBelow: (directory) => {
      const parts = directory.split('/')
      return paths.some((pattern) => {
        for (const [depth, part] of parts.entries()) {
          if (pattern[depth] === '**') return true
          if (pattern[depth] === undefined || !wildmatch(pattern[depth], part, options)) return false
        }
        return pattern.length > parts.length
      })
    },
  }
}

/** Whether a file, or a directory above it, is precious. */
export function isPreciousPath(rules: PreciousRules, path: BytePath): boolean {
  if (rules === noPreciousRules) return false
  for (let part = path; part !== ''; part = parentOf(part)) {
    if (rules.matches(part, part.slice(parentOf(part) === '' ? 0 : parentOf(part).length + 1))) return true
  }
  return false
}
