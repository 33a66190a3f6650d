import { createHash } from 'node:crypto'
import { lstatSync, readFileSync, readdirSync, readlinkSync } from 'node:fs'

/**
 * Everything below a directory as comparable text: type, permissions, and the hash of the content or the text of the link, by
 * path. Names and link texts are the bytes that they are, one character for each.
 * @param options.skip paths that are left out with all below them; `.git` of the top by default
 */
export function describeTree(
  root: string,
  options: { readonly skip?: readonly string[] } = {},
): Record<string, string> {
  const { skip = ['.git'] } = options
  const tree: Record<string, string> = {}
  const visit = (directory: Buffer, prefix: string): void => {
    for (const name of readdirSync(directory, { encoding: 'buffer' })) {
      const path = prefix + name.toString('latin1')
      if (skip.includes(path)) continue
      const entry = Buffer.concat([directory, Buffer.from('/'), name])
      tree[path] = describeEntry(entry)
      if (tree[path].startsWith('directory')) visit(entry, `${path}/`)
    }
  }
  visit(Buffer.from(root), '')
  return tree
}

function describeEntry(path: Buffer): string {
  const stats = lstatSync(path)
  const mode = (stats.mode & 0o7777).toString(8)
  if (stats.isSymbolicLink()) return `link ${readlinkSync(path, { encoding: 'latin1' as BufferEncoding })}`
  if (stats.isDirectory()) return `directory ${mode}`
  return stats.isFile() ? `file ${mode} ${hashOf(readFileSync(path))}` : 'special'
}

export function hashOf(content: string | Uint8Array): string {
  return createHash('sha256').update(content).digest('hex')
}
