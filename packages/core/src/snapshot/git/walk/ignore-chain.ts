import { joinPath, nativePath, toBytePath, type BytePath } from '../../byte-path.ts'
import { lstatIfAllowed } from '../table/file-stamp.ts'
import { parseIgnoreFile, type IgnoreList } from './ignore-file.ts'
import { readRegularFile } from '../private/read-regular-file.ts'
import type { UserRepository } from '../user/repository-layout.ts'

/** The lists of rules that count in a directory, the nearest first. */
export interface IgnoreChain {
  readonly list: IgnoreList
  /** What lies between the list's own directory and the workspace, when that is below it; ends in `/`. */
  readonly lead: BytePath
  /** Where paths relative to the list's directory begin in paths relative to the workspace. */
  readonly start: number
  readonly next: IgnoreChain | null
}

/** git reads none above this size either. */
const MAX_RULES_BYTES = 100 << 20

export function isIgnored(
  chain: IgnoreChain | null,
  path: BytePath,
  name: BytePath,
  isDirectory: boolean,
): boolean {
  for (let link = chain; link !== null; link = link.next) {
    const below = link.lead + (link.start === 0 ? path : path.slice(link.start))
    const verdict = link.list.verdict(below, name, isDirectory)
    if (verdict !== null) return verdict === 'ignored'
  }
  return false
}

/** The rules that count in the whole workspace: the user's own, `info/exclude`, and the files above the workspace. */
export function rulesAbove(user: UserRepository): IgnoreChain | null {
  const { prefix, ignoreCase, topLevel } = user
  const links: Omit<RuleFile, 'start' | 'ignoreCase'>[] = [
    { file: toBytePath(user.globalExcludesFile), isOptional: true, followLink: true, lead: prefix },
    { file: toBytePath(user.excludeFile), followLink: true, lead: prefix },
  ]
  const above = prefix.split('/').slice(0, -1)
  for (const depth of above.keys()) {
    const directory = above
      .slice(0, depth)
      .map((name) => `${name}/`)
      .join('')
    const file = `${toBytePath(topLevel)}/${directory}.gitignore`
    links.push({ file, followLink: false, lead: prefix.slice(directory.length) })
  }
  let chain: IgnoreChain | null = null
  for (const link of links) chain = addRules(chain, { ...link, start: 0, ignoreCase })
  return chain
}

/** The rules that count at the top of another repository inside the workspace: none of the directories above it. */
export function rulesOfNested(
  user: UserRepository,
  directory: BytePath,
  excludeFile: BytePath,
): IgnoreChain | null {
  const place = { lead: '', start: directory.length + 1, followLink: true, ignoreCase: user.ignoreCase }
  const chain = addRules(null, { ...place, file: toBytePath(user.globalExcludesFile), isOptional: true })
  return addRules(chain, { ...place, file: excludeFile })
}

/** @param root the workspace, as bytes */
export function rulesOfDirectory(
  chain: IgnoreChain | null,
  root: BytePath,
  directory: BytePath,
  ignoreCase: boolean,
): IgnoreChain | null {
  const file = joinPath(root, joinPath(directory, '.gitignore'))
  const start = directory === '' ? 0 : directory.length + 1
  return addRules(chain, { file, followLink: false, lead: '', start, ignoreCase })
}

interface RuleFile {
  readonly file: BytePath
  readonly followLink: boolean
  /** The user's own rules may lie where this process may not look, as in a container with another home. @default false */
  readonly isOptional?: boolean | undefined
  readonly lead: BytePath
  readonly start: number
  readonly ignoreCase: boolean
}

/** Stands for rules that nobody may read: they might name anything. What is tracked or captured stays in view. */
const everything: IgnoreList = { verdict: () => 'ignored' }

function addRules(next: IgnoreChain | null, rules: RuleFile): IgnoreChain | null {
  const { file, followLink, lead, start, ignoreCase, isOptional = false } = rules
  const content = readRegularFile(nativePath(file), { maxBytes: MAX_RULES_BYTES, followLink })
  if (content === null && !isOptional && isUnreadable(file)) return { list: everything, lead, start, next }
  const list = content === null ? null : parseIgnoreFile(content.toString('latin1'), ignoreCase)
  return list === null ? next : { list, lead, start, next }
}

function isUnreadable(file: BytePath): boolean {
  const stats = lstatIfAllowed(nativePath(file))
  return stats === 'denied' || (stats?.isFile() === true && Number(stats.size) <= MAX_RULES_BYTES)
}
