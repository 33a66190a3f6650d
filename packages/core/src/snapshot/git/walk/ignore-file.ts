import type { BytePath } from '../../byte-path.ts'
import { wildmatch } from './wildmatch.ts'

/** The rules of one ignore file, compiled. Paths are given to it relative to the directory that it counts for. */
export interface IgnoreList {
  /** @returns `null` when no rule of the list says anything about the path */
  verdict(path: BytePath, name: BytePath, isDirectory: boolean): 'ignored' | 'included' | null
}

interface Rule {
  readonly pattern: string
  readonly isNegated: boolean
  readonly isDirectoryOnly: boolean
  /** Without a slash: it counts for the name, at any depth. */
  readonly isNameOnly: boolean
  /** How much of the pattern is before the first wildcard. */
  readonly literalLength: number
  /** `*` and then only literal characters. */
  readonly isSuffix: boolean
}

/** Reads an ignore file (bytes as latin1) exactly as git does. @returns `null` when there is no rule in it */
export function parseIgnoreFile(text: string, ignoreCase = false): IgnoreList | null {
  const rules: Rule[] = []
  // The mark is that of UTF-8, byte by byte.
  const body = text.startsWith('\u00ef\u00bb\u00bf') ? text.slice(3) : text
  for (const line of body.split('\n')) {
    if (line === '' || line.startsWith('#')) continue
    const rule = parseRule(trimEnd(line.endsWith('\r') ? line.slice(0, -1) : line))
    if (rule !== null) rules.push(rule)
  }
  return rules.length === 0 ? null : compile(rules, ignoreCase)
}

/** Spaces at the end do not count unless a backslash is before them. */
function trimEnd(line: string): string {
  let end = -1
  for (let at = 0; at < line.length; at += 1) {
    if (line[at] === ' ') {
      if (end === -1) end = at
      continue
    }
    end = -1
    if (line[at] === '\\') at += 1
    if (at >= line.length) return line
  }
  return end === -1 ? line : line.slice(0, end)
}

const wildcard = /[*?[\\]/

function parseRule(line: string): Rule | null {
  const isNegated = line.startsWith('!')
  const whole = isNegated ? line.slice(1) : line
  const isDirectoryOnly = whole.endsWith('/')
  const pattern = isDirectoryOnly ? whole.slice(0, -1) : whole
  if (pattern === '') return null
  const first = pattern.search(wildcard)
  return {
    pattern,
    isNegated,
    isDirectoryOnly,
    isNameOnly: !pattern.includes('/'),
    literalLength: first === -1 ? pattern.length : first,
    isSuffix: pattern.startsWith('*') && !wildcard.test(pattern.slice(1)),
  }
}

/** The last rule that matches decides; those for one exact name are looked up, the others tried one after the other. */
function compile(rules: readonly Rule[], ignoreCase: boolean): IgnoreList {
  const fold = (text: string) =>
    ignoreCase ? text.replace(/[A-Z]/g, (letter) => letter.toLowerCase()) : text
  const exact = new Map<string, number[]>()
  const others: number[] = []
  for (const [row, rule] of rules.entries()) {
    if (!rule.isNameOnly || rule.literalLength < rule.pattern.length) others.push(row)
    else {
      const name = fold(rule.pattern)
      const rows = exact.get(name)
      if (rows === undefined) exact.set(name, [row])
      else rows.push(row)
    }
  }
  const matches = rules.map((rule) => matcherOf(rule, ignoreCase, fold))
  return {
    verdict(path, name, isDirectory) {
      const foldedName = fold(name)
      let best = -1
      for (const row of exact.get(foldedName) ?? []) {
        if (isDirectory || rules[row]?.isDirectoryOnly !== true) best = row
      }
      for (let at = others.length - 1; at >= 0; at -= 1) {
        const row = others[at] ?? -1
        if (row < best) break
        if (!isDirectory && rules[row]?.isDirectoryOnly === true) continue
        if (matches[row]?.(path, foldedName) === true) {
          best = row
          break
        }
      }
      if (best === -1) return null
      return rules[best]?.isNegated === true ? 'included' : 'ignored'
    },
  }
}

function matcherOf(
  rule: Rule,
  ignoreCase: boolean,
  fold: (text: string) => string,
): (path: BytePath, foldedName: BytePath) => boolean {
  const { isNameOnly, isSuffix } = rule
  if (isNameOnly && isSuffix) {
    const suffix = fold(rule.pattern.slice(1))
    return (_path, name) => name.endsWith(suffix)
  }
  if (isNameOnly) return (_path, name) => wildmatch(rule.pattern, name, { isPath: false, ignoreCase })
  // git compares what is before the first wildcard as text, and takes the rest for a pattern of its own.
  const skipped = rule.pattern.startsWith('/') ? 1 : 0
  const literal = fold(rule.pattern.slice(skipped, Math.max(rule.literalLength, skipped)))
  const rest = rule.pattern.slice(skipped + literal.length)
  return (path) => {
    if (!fold(path).startsWith(literal)) return false
    if (rest === '') return path.length === literal.length
    return wildmatch(rest, path.slice(literal.length), { isPath: true, ignoreCase })
  }
}
