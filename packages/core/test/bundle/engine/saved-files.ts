import { Buffer } from 'node:buffer'
import { readdirSync, readFileSync, lstatSync, readlinkSync } from 'node:fs'
import { decodeFrame } from '../../../src/bundle/format/frame.ts'
import { cutChunk, readPackIndex, readStoredFrames } from '../../../src/bundle/format/pack-reader.ts'
import { readDirectoryEntries, readRuns } from '../../../src/bundle/format/tree-node.ts'
import type { Repository } from '../../../src/bundle/engine/repository/repository.ts'
import type { SavedTree } from '../../../src/bundle/engine/save/saved-tree.ts'

/** By path (byte strings): what an entry is, in one comparable text. */
export type Listing = Record<string, string>

const sha = (content: Buffer): string => (content.length < 40 ? content.toString('latin1') : digest(content))

function digest(content: Buffer): string {
  let sum = 0
  for (let index = 0; index < content.length; index += 1)
    sum = (Math.imul(sum, 31) + (content[index] ?? 0)) | 0
  return `${content.length} bytes, ${sum}`
}

/** What is in a directory, read in the plainest way. */
export function listDirectory(root: string): Listing {
  const listing: Listing = {}
  const visit = (path: string): void => {
    const native = Buffer.from(path === '' ? root : `${root}/${path}`, 'latin1')
    for (const name of readdirSync(native, { encoding: 'latin1' })) {
      const inner = path === '' ? name : `${path}/${name}`
      const file = Buffer.from(`${root}/${inner}`, 'latin1')
      const stats = lstatSync(file, { bigint: true })
      const facts = `${(Number(stats.mode) & 0o7777).toString(8)} ${stats.mtimeNs}`
      if (stats.isDirectory()) {
        listing[inner] = `directory ${facts}`
        visit(inner)
      } else if (stats.isSymbolicLink()) {
        listing[inner] = `link ${facts} ${readlinkSync(file, { encoding: 'latin1' })}`
      } else if (stats.isFile()) listing[inner] = `file ${facts} ${sha(readFileSync(file))}`
    }
  }
  visit('')
  return listing
}

/** The same of a saved tree, from nothing but the store; every chunk is checked. */
export async function listSaved(
  repository: Repository,
  tree: Pick<SavedTree, 'root' | 'packs'>,
  onFile: (path: string, content: Buffer) => void = () => undefined,
): Promise<Listing> {
  const chunks = await readChunks(repository, tree)
  const readChunk = async (id: string): Promise<Uint8Array> => {
    const content = chunks.get(id)
    if (content === undefined) throw new Error(`chunk ${id} is in none of the packs`)
    return content
  }
  const listing: Listing = {}
  const visit = async (path: string, node: string): Promise<void> => {
    for await (const entry of readDirectoryEntries(node, readChunk)) {
      const inner = path === '' ? entry.name : `${path}/${entry.name}`
      const mtime = BigInt(entry.mtimeSeconds) * 1_000_000_000n + BigInt(entry.mtimeNanoseconds)
      const facts = `${entry.mode.toString(8)} ${mtime}`
      if (entry.type === 'directory') {
        listing[inner] = `directory ${facts}`
        await visit(inner, entry.node)
      } else if (entry.type === 'symlink') listing[inner] = `link ${facts} ${entry.target}`
      else {
        const parts: Uint8Array[] = []
        for await (const run of readRuns(entry, readChunk)) {
          parts.push(run.kind === 'zeros' ? Buffer.alloc(run.length) : await readChunk(run.id))
        }
        const content = Buffer.concat(parts)
        onFile(inner, content)
        listing[inner] = `file ${facts} ${sha(content)}`
      }
    }
  }
  await visit('', tree.root.node)
  return listing
}

export async function readChunks(
  repository: Repository,
  tree: Pick<SavedTree, 'packs'>,
): Promise<Map<string, Uint8Array>> {
  const chunks = new Map<string, Uint8Array>()
  for (const pack of tree.packs) {
    const index = await readPackIndex(repository, pack)
    const raw = new Map<number, Uint8Array>()
    for await (const { frame, stored } of readStoredFrames(repository, index, [...index.frames.keys()])) {
      raw.set(frame, decodeFrame(stored, { packId: pack.id, frame }, repository.keys))
    }
    for (let position = 0; position < index.chunkCount; position += 1) {
      const chunk = index.chunkAt(position)
      const frame = raw.get(chunk.frame)
      if (frame !== undefined) chunks.set(chunk.id, cutChunk(pack.id, frame, chunk, repository.keys))
    }
  }
  return chunks
}
