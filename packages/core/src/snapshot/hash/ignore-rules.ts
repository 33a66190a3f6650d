import { Minimatch } from 'minimatch'
import { describeValue } from '../../describe-value.ts'
import { WorkspaceError } from '../../errors.ts'

export interface HashIgnoreOptions {
  /**
   * What to leave out. A bare name (`cache`) is left out wherever a file, link or directory has it; with a `/` it is one
   * path from the workspace on (`web/cache`; `/cache` or `./cache` for one at the top). A `/` at the end changes nothing.
   * @default none
   */
  readonly paths?: readonly string[] | undefined
  /**
   * Globs as minimatch has them: `*` and `?` stop at `/`, `**` as a whole segment spans any number of directories (within
   * a segment it is a `*`), names that begin with a dot match too, `!` and `#` at the start mean themselves. With a `/`
   * a glob stands for whole paths from the workspace on; without one, for names at any depth.
   * @default none
   */
  readonly globs?: readonly string[] | undefined
  /** Whether `.git`, `node_modules`, `deps` and `_build` are left out at any depth. @default true */
  readonly defaults?: boolean | undefined
}

/** The rules with defaults filled in, in one spelling; plain data, for another thread or a file. */
export interface IgnoreRules {
  readonly names: readonly string[]
  readonly paths: readonly string[]
  readonly globs: readonly string[]
}

const defaultNames = ['.git', 'node_modules', 'deps', '_build']

/** @throws `INVALID_INPUT` for an empty rule, one with `.` or `..` inside, or one that names the workspace itself. */
export function normalizeIgnoreRules(options: HashIgnoreOptions = {}): IgnoreRules {
  const names = new Set(options.defaults === false ? [] : defaultNames)
  const paths = new Set<string>()
  for (const rule of options.paths ?? []) {
    const path = normalizePath(rule)
    if (path.includes('/')) paths.add(path.replace(/^\//, ''))
    else names.add(path)
  }
  const globs = new Set((options.globs ?? []).map(normalizePath))
  return { names: [...names].toSorted(), paths: [...paths].toSorted(), globs: [...globs].toSorted() }
}

/** The rules as a test for one path; whoever walks asks for each directory before it looks inside. */
export function compileIgnoreRules(rules: IgnoreRules): (path: string, name: string) => boolean {
  const names = new Set(rules.names)
  const paths = new Set(rules.paths)
  const globs = rules.globs.map((glob) => ({
    whole: glob.includes('/'),
    matcher: new Minimatch(glob.replace(/^\//, ''), {
      dot: true,
      nocomment: true,
      nonegate: true,
      platform: 'linux',
    }),
  }))
  return (path, name) =>
    names.has(name) ||
    (paths.size > 0 && paths.has(path)) ||
    globs.some(({ whole, matcher }) => matcher.match(whole ? path : name))
}

/** Whether a path, or a directory that it lies in, is left out. */
export function isIgnored(ignores: (path: string, name: string) => boolean, path: string): boolean {
  for (let end = path.indexOf('/'); end !== -1; end = path.indexOf('/', end + 1)) {
    const ancestor = path.slice(0, end)
    if (ignores(ancestor, ancestor.slice(ancestor.lastIndexOf('/') + 1))) return true
  }
  return ignores(path, path.slice(path.lastIndexOf('/') + 1))
}

/** `./a//b/` and `a/b` are one rule; a leading `/` stays as the sign of an anchored name. */
function normalizePath(rule: string): string {
  if (typeof rule !== 'string' || rule.includes('\0')) throw unusable(rule, 'it is not a path')
  const anchored = rule.startsWith('/') || rule.startsWith('./')
  const segments = rule
    .replace(/^\.\//, '')
    .split('/')
    .filter((segment) => segment !== '')
  if (segments.length === 0) throw unusable(rule, 'it names nothing below the workspace')
  if (segments.some((segment) => segment === '.' || segment === '..')) {
    throw unusable(rule, '"." and ".." are not allowed in it')
  }
  return `${anchored ? '/' : ''}${segments.join('/')}`
}

function unusable(rule: unknown, reason: string): WorkspaceError {
  return new WorkspaceError(
    'INVALID_INPUT',
    `The ignore rule ${describeValue(rule)} is not usable: ${reason}.`,
  )
}
