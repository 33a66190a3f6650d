import { joinPath, nativePath, trimSpace, type BytePath } from '../../byte-path.ts'
import { readRegularFile } from '../private/read-regular-file.ts'
import { isRefName } from './is-ref-name.ts'

/** git follows no more. */
const MAX_DEPTH = 5
/** A linked work tree has its own of these, which are not where the others are. */
const ofWorkTree = /^refs\/(?:bisect|worktree|rewritten)\//

/** The ref that HEAD, or a symbolic ref, names directly; `null` where it names an object. @param content Latin-1 */
export function refIn(content: string): string | null {
  return /^ref:[ \t]*([^\n]+)$/.exec(trimSpace(content))?.[1] ?? null
}

/**
 * The ref whose value HEAD has: its branch, or what that is a symbolic ref to.
 * @param head what HEAD holds, in Latin-1
 * @returns `null` when HEAD is detached, or does not lead to a ref that all work trees share
 */
export function readBranch(commonDirectory: BytePath, head: string): string | null {
  let ref = refIn(head)
  for (let depth = 0; ref !== null && depth < MAX_DEPTH; depth += 1) {
    if (!ref.startsWith('refs/') || !isRefName(ref) || ofWorkTree.test(ref)) return null
    const content = readRegularFile(nativePath(joinPath(commonDirectory, ref)), { maxBytes: 4096 })
    const next = content === null ? null : refIn(content.toString('latin1'))
    if (next === null) return ref
    ref = next
  }
  return null
}
