import { decodePath } from '@ws/core'
import { unquotePath } from './unquote-path.ts'

/** The part of a patch that is about one path. A change of type is two of them: the old gone, the new there. */
export interface FilePatch {
  /** As in `FileChange.path`. */
  readonly path: string
  readonly hunks: readonly Hunk[]
  /** True where the patch holds bytes in place of lines. */
  readonly isBinary: boolean
}

/** Where the lines of a hunk are; `hunkLines` reads them. */
export interface Hunk {
  readonly oldStart: number
  readonly oldLines: number
  readonly newStart: number
  readonly newLines: number
  /** What git printed after the second `@@`, most often the function that the hunk is in. */
  readonly section: string
  /** Where its lines begin and end in the patch, in bytes. */
  readonly start: number
  readonly end: number
}

const LINE_FEED = 0x0a
/** Two quoted names of PATH_MAX bytes have less; a longer line is no header. */
const MAX_HEADER_BYTES = 65_536
const fileHeader = /^diff --git (.+)$/s
const hunkHeader = /^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@ ?(.*)$/s

/**
 * Reads a patch as the git backend makes it (`a/` and `b/` prefixes, no renames). Works on bytes: names and contents
 * need not be UTF-8, and the lines of a hunk are counted, so that no content can pass for a header. Takes linear time
 * and decodes headers only. What is not understood is passed over, never guessed at.
 */
export function parsePatch(patch: Uint8Array): FilePatch[] {
  const bytes = Buffer.from(patch.buffer, patch.byteOffset, patch.byteLength)
  const files: { path: string; hunks: Hunk[]; isBinary: boolean }[] = []
  let at = 0
  while (at < bytes.length) {
    const end = endOfLine(bytes, at)
    const first = end - at > MAX_HEADER_BYTES ? undefined : bytes[at]
    if (first === 0x64 /* d */) {
      const names = fileHeader.exec(bytes.toString('latin1', at, end))?.[1]
      const path = names === undefined ? null : pathOf(names)
      if (path !== null) files.push({ path, hunks: [], isBinary: false })
    } else if (first === 0x40 /* @ */) {
      const hunk = readHunk(bytes, at, end)
      if (hunk !== null) {
        files.at(-1)?.hunks.push(hunk)
        at = hunk.end
        continue
      }
    } else if (first === 0x47 /* G */ && bytes.toString('latin1', at, end) === 'GIT binary patch') {
      const file = files.at(-1)
      if (file !== undefined) file.isBinary = true
    }
    at = end + 1
  }
  return files
}

/** Both names are the same in a patch without renames, so the middle divides them whatever they contain. */
function pathOf(names: string): string | null {
  const middle = (names.length - 1) / 2
  const left = unquotePath(names.slice(0, middle))
  const right = unquotePath(names.slice(middle + 1))
  if (left === null || right === null || left.slice(1) !== right.slice(1) || !left.startsWith('a/'))
    return null
  return decodePath(Buffer.from(left.slice(2), 'latin1'))
}

function readHunk(bytes: Buffer, at: number, headerEnd: number): Hunk | null {
  const parts = hunkHeader.exec(bytes.toString('latin1', at, headerEnd))
  if (parts === null) return null
  const [, oldStart, oldLines = '1', newStart, newLines = '1', section = ''] = parts
  const hunk = {
    oldStart: Number(oldStart),
    oldLines: Number(oldLines),
    newStart: Number(newStart),
    newLines: Number(newLines),
    section: decodePath(Buffer.from(section, 'latin1')),
    start: Math.min(headerEnd + 1, bytes.length),
  }
  return { ...hunk, end: endOfHunk(bytes, hunk) }
}

function endOfHunk(bytes: Buffer, hunk: Omit<Hunk, 'end'>): number {
  let { oldLines, newLines, start: at } = hunk
  while (at < bytes.length) {
    const kind = bytes[at]
    const isNote = kind === 0x5c /* \ */
    if (oldLines <= 0 && newLines <= 0 && !isNote) break
    if (!isNote && kind !== 0x2b /* + */) oldLines -= 1
    if (!isNote && kind !== 0x2d /* - */) newLines -= 1
    at = Math.min(endOfLine(bytes, at) + 1, bytes.length)
  }
  return at
}

export function endOfLine(bytes: Buffer, at: number): number {
  const end = bytes.indexOf(LINE_FEED, at)
  return end === -1 ? bytes.length : end
}
