import type { BytePath } from '../../byte-path.ts'
import type { FileStamp } from './file-stamp.ts'

/** Names without slashes, sorted and joined by slashes: thousands of directories are kept, and most are never looked into again. */
export type Names = string

/** What a directory held when it was read. `.git` is in none of the lists. */
export interface CapturedDirectory extends FileStamp {
  readonly settled: boolean
  readonly files: Names
  /** Directories that were looked into. */
  readonly children: Names
  readonly special: Names
  /** What the ignore rules leave out, directories as a whole. */
  readonly ignored: Names
  /** What counts although rules may ignore it; among the files and children. */
  readonly precious: Names
  /** Ignored directories that were looked into because something below counts all the same; among the children. */
  readonly entered: Names
  /** What no snapshot can hold, because its name is one of git's own or means a device. */
  readonly unsupported: Names
  readonly hasIgnoreFile: boolean
  /** Whether another repository begins here. */
  readonly isRepository: boolean
  /** What counts below it. `ignored`: only what is named. `precious`: everything. */
  readonly reach: Reach
}

export type Reach = 'rules' | 'ignored' | 'precious'

/** The names of all lists of names. */
export const nameLists = [
  'files',
  'children',
  'special',
  'ignored',
  'precious',
  'entered',
  'unsupported',
] as const

/** Whether they differ at most in their times and place on the disk. */
export function isAlike(left: CapturedDirectory, right: CapturedDirectory): boolean {
  return (
    left.mode === right.mode &&
    left.reach === right.reach &&
    left.hasIgnoreFile === right.hasIgnoreFile &&
    left.isRepository === right.isRepository &&
    nameLists.every((list) => left[list] === right[list])
  )
}

/** In an ignored directory only what is named counts, and not the directory itself. */
export function isInView({ reach, isRepository }: CapturedDirectory): boolean {
  return reach !== 'ignored' || isRepository
}

export function joinNames(names: BytePath[]): Names {
  return names.sort().join('/')
}

export function splitNames(names: Names): BytePath[] {
  return names === '' ? [] : names.split('/')
}

/** All files and links of the directories, sorted by path. */
export function listFiles(directories: ReadonlyMap<BytePath, CapturedDirectory>): BytePath[] {
  const found: BytePath[] = []
  const open = (path: BytePath) => {
    const directory = directories.get(path)
    const lead = path === '' ? '' : `${path}/`
    // A directory sorts as if its name ended in a slash, as the paths below it do.
    const children = splitNames(directory?.children ?? '')
    const names = [...splitNames(directory?.files ?? ''), ...children.map((name) => `${name}/`)]
    return { lead, names: children.length === 0 ? names : names.sort(), at: 0 }
  }
  const stack = [open('')]
  for (let level = stack.at(-1); level !== undefined; level = stack.at(-1)) {
    const name = level.names[level.at]
    level.at += 1
    if (name === undefined) stack.pop()
    else if (name.endsWith('/')) stack.push(open(level.lead + name.slice(0, -1)))
    else found.push(level.lead + name)
  }
  return found
}
