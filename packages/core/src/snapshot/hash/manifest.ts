import { createHash } from 'node:crypto'
import type { EntryType } from '../snapshot.ts'
import type { IgnoreRules } from './ignore-rules.ts'

/**
 * The canonical manifest, version 1: a text whose SHA-256 is a snapshot's `ref`.
 *
 *     ws hash manifest 1
 *     {"names":[".git"],"paths":[],"globs":[]}
 *     f 644 1024 <SHA-256 of the content> "src/main.ts"
 *     l 777 7 <SHA-256 of the link's text> "current"
 *     d 755 0 - "empty"
 *
 * One line for each file, link and empty directory: type, permission bits in octal, size, content, and the path as a
 * JSON string (a byte that is not UTF-8 as `decodePath` writes it, escaped). Lines stand in the order of `sortKey`.
 */
const HEADER = 'ws hash manifest 1'
const LINES_PER_CHUNK = 4096

export interface ManifestEntry {
  readonly path: string
  readonly type: EntryType
  readonly mode: number
  readonly size: number
  readonly content: string
}

const letters: Readonly<Record<EntryType, string>> = { file: 'f', symlink: 'l', directory: 'd' }
const types: Readonly<Record<string, EntryType | undefined>> = { f: 'file', l: 'symlink', d: 'directory' }

export function serializeManifest(
  rules: IgnoreRules,
  entries: readonly ManifestEntry[],
): { readonly ref: string; readonly chunks: Buffer[] } {
  const digest = createHash('sha256')
  const chunks: Buffer[] = []
  const push = (text: string): void => {
    const chunk = Buffer.from(text)
    digest.update(chunk)
    chunks.push(chunk)
  }
  push(`${HEADER}\n${JSON.stringify(rules)}\n`)
  for (let start = 0; start < entries.length; start += LINES_PER_CHUNK) {
    let text = ''
    for (const entry of entries.slice(start, start + LINES_PER_CHUNK)) {
      const content = entry.content === '' ? '-' : entry.content
      text += `${letters[entry.type]} ${entry.mode.toString(8)} ${entry.size} ${content} ${JSON.stringify(entry.path)}\n`
    }
    push(text)
  }
  return { ref: digest.digest('hex'), chunks }
}

/** The rules in a manifest's first two lines. @throws when they are not those of a manifest of this version. */
export function parseManifestHead(header: string | undefined, rules: string | undefined): IgnoreRules {
  if (header !== HEADER || rules === undefined) throw new Error('not a manifest of version 1')
  return JSON.parse(rules) as IgnoreRules
}

/** @throws when the line is damaged. */
export function parseManifestLine(line: string): ManifestEntry {
  const [letter = '', mode = '', size = '', content = ''] = line.split(' ', 4)
  const type = types[letter]
  const start = letter.length + mode.length + size.length + content.length + 4
  const path: unknown = JSON.parse(line.slice(start))
  if (type === undefined || typeof path !== 'string') throw new Error('a damaged line')
  return {
    path,
    type,
    mode: Number.parseInt(mode, 8),
    size: Number(size),
    content: content === '-' ? '' : content,
  }
}
