import { readBracket } from './wildmatch-bracket.ts'

const SLASH = 0x2f
const STAR = 0x2a
const BACKSLASH = 0x5c
const OPEN = 0x5b

export interface WildmatchOptions {
  /** `*`, `?` and brackets do not match `/`; `**` between slashes does. */
  readonly isPath: boolean
  /** A to Z are a to z, as where `core.ignoreCase` is set. */
  readonly ignoreCase: boolean
}

/**
 * Whether a pattern of git's ignore files matches a text, by the rules of git's `wildmatch.c`. Both are byte strings.
 * A pair of positions is looked at once, so that a hostile pattern takes time in the product of the lengths, not more.
 */
export function wildmatch(pattern: string, text: string, options: WildmatchOptions): boolean {
  const failed = new Set<number>()
  const { isPath, ignoreCase } = options
  const fold = (code: number) => (ignoreCase && code >= 0x41 && code <= 0x5a ? code + 32 : code)

  const matchesFrom = (patternStart: number, textStart: number): boolean => {
    const key = patternStart * (text.length + 1) + textStart
    if (failed.has(key)) return false
    const answer = attempt(patternStart, textStart)
    if (!answer) failed.add(key)
    return answer
  }

  const attempt = (patternStart: number, textStart: number): boolean => {
    let at = patternStart
    let read = textStart
    for (; at < pattern.length; at += 1, read += 1) {
      let code = pattern.charCodeAt(at)
      if (code === STAR) return matchesStar(at, read)
      if (read >= text.length) return false
      const found = fold(text.charCodeAt(read))
      if (code === 0x3f) {
        if (isPath && found === SLASH) return false
      } else if (code === OPEN) {
        const bracket = readBracket(pattern, at, ignoreCase)
        if (bracket === null || !bracket.holds(found) || (isPath && found === SLASH)) return false
        at = bracket.end
      } else {
        if (code === BACKSLASH) {
          at += 1
          if (at >= pattern.length) return false
          code = pattern.charCodeAt(at)
        }
        if (fold(code) !== found) return false
      }
    }
    return read === text.length
  }

  const matchesStar = (start: number, read: number): boolean => {
    let next = start + 1
    while (pattern.charCodeAt(next) === STAR) next += 1
    let crossesSlashes = !isPath
    if (isPath && next - start > 1) {
      const startsPart = start === 0 || pattern.charCodeAt(start - 1) === SLASH
      const isSlash = (position: number) => pattern.charCodeAt(position) === SLASH
      const endsPart =
        next === pattern.length ||
        isSlash(next) ||
        (pattern.charCodeAt(next) === BACKSLASH && isSlash(next + 1))
      crossesSlashes = startsPart && endsPart
      // It may stand for no directory at all.
      if (crossesSlashes && isSlash(next) && matchesFrom(next + 1, read)) return true
    }
    if (next === pattern.length) return crossesSlashes || !text.includes('/', read)
    for (let position = read; position <= text.length; position += 1) {
      if (matchesFrom(next, position)) return true
      if (!crossesSlashes && text.charCodeAt(position) === SLASH) return false
    }
    return false
  }

  return matchesFrom(0, 0)
}
