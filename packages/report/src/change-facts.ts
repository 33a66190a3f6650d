import { formatSize } from './format-size.ts'
import type { FileDiff, FileStatus } from './list-file-diffs.ts'

export const statusLetters: Readonly<Record<FileStatus, string>> = {
  added: 'A',
  modified: 'M',
  deleted: 'D',
  renamed: 'R',
  'type-changed': 'T',
  'mode-changed': 'X',
}

const typeNames = { file: 'file', symlink: 'symbolic link', directory: 'empty directory' } as const

/** What happened besides lines: type, mode, sizes where there are no lines to count, secrecy. Short phrases for people. */
export function changeFacts(file: FileDiff): string[] {
  const secrecy = file.isRedacted ? 'precious, content left out' : null
  return [typeFact(file), modeFact(file), sizeFact(file), secrecy].filter((fact) => fact !== null)
}

function typeFact({ before, after }: FileDiff): string | null {
  const type = (after ?? before)?.type
  if (before !== null && after !== null) {
    return before.type === after.type ? null : `${typeNames[before.type]} → ${typeNames[after.type]}`
  }
  return type === undefined || type === 'file' ? null : typeNames[type]
}

function modeFact({ before, after }: FileDiff): string | null {
  if (after === null || after.type === 'symlink') return null
  if (before === null) {
    return after.type === 'file' && (after.mode & 0o111) !== 0
      ? `executable, mode ${octal(after.mode)}`
      : null
  }
  if (before.type !== after.type || before.mode === after.mode) return null
  return `mode ${octal(before.mode)} → ${octal(after.mode)}`
}

function sizeFact(file: FileDiff): string | null {
  const { before, after, isBinary } = file
  const hasLines = !isBinary && file.insertions !== null
  const isSame = !file.isRedacted && before !== null && after !== null && before.content === after.content
  if (hasLines || isSame || (after ?? before)?.type !== 'file') return null
  const sizes = [before, after]
    .filter((state) => state?.type === 'file')
    .map((state) => formatSize(state?.size ?? 0))
  return `${isBinary ? 'binary ' : ''}${sizes.join(' → ')}`
}

function octal(mode: number): string {
  return mode.toString(8).padStart(3, '0')
}
