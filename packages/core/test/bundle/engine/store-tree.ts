import { Buffer } from 'node:buffer'
import { lstatSync, readFileSync, readdirSync, readlinkSync } from 'node:fs'
import type { BigIntStats } from 'node:fs'
import type { Repository } from '../../../src/bundle/engine/repository/repository.ts'
import { contentIdOf } from '../../../src/bundle/format/content-id.ts'
import { compressFrame } from '../../../src/bundle/format/frame.ts'
import { createPackWriter, type FrameChunk } from '../../../src/bundle/format/pack-writer.ts'
import { encodeDirectory, type Run, type TreeEntry } from '../../../src/bundle/format/tree-node.ts'
import type { PackReference, VersionRecord } from '../../../src/bundle/format/version-record.ts'

/** Puts chunks into packs by hand, so that a test says what is in them, also what no save would ever store. */
export interface PackBuilder {
  /** @returns the id of the chunk */
  data(content: Uint8Array): string
  tree(content: Uint8Array): string
  /** A directory's node. */
  node(entries: readonly TreeEntry[]): string
  /** @returns the packs in the order in which they were begun */
  finish(): Promise<PackReference[]>
}

export function buildPacks(
  repository: Repository,
  packBytes = Number.POSITIVE_INFINITY,
  frameBytes = 1 << 20,
): PackBuilder {
  const { keys } = repository
  const finished: { reference: PackReference; bytes: Uint8Array }[] = []
  let writer = createPackWriter(keys)
  const known = new Set<string>()
  const open = {
    data: { chunks: [] as FrameChunk[], parts: [] as Uint8Array[], bytes: 0 },
    tree: { chunks: [] as FrameChunk[], parts: [] as Uint8Array[], bytes: 0 },
  }
  const closeFrame = (kind: 'data' | 'tree'): void => {
    const frame = open[kind]
    if (frame.bytes === 0) return
    writer.addFrame(kind, compressFrame(Buffer.concat(frame.parts)), frame.chunks)
    open[kind] = { chunks: [], parts: [], bytes: 0 }
  }
  const closePack = (): void => {
    closeFrame('data')
    closeFrame('tree')
    const { bytes, reference } = writer.finish()
    finished.push({ reference, bytes })
    writer = createPackWriter(keys)
  }
  const add = (kind: 'data' | 'tree', id: string, content: Uint8Array): string => {
    if (known.has(id)) return id
    known.add(id)
    const frame = open[kind]
    if (frame.bytes + content.length > frameBytes) closeFrame(kind)
    const target = open[kind]
    target.chunks.push({ id, offset: target.bytes, length: content.length })
    target.parts.push(Uint8Array.from(content))
    target.bytes += content.length
    if (writer.bytes() > packBytes) closePack()
    return id
  }
  return {
    data: (content) => add('data', contentIdOf(content, keys), content),
    tree: (content) => add('tree', contentIdOf(content, keys), content),
    node(entries) {
      const sorted = [...entries].sort((left, right) => (left.name < right.name ? -1 : 1))
      return (
        encodeDirectory(sorted, keys)
          .map(({ id, content }) => add('tree', id, content))
          .at(-1) ?? ''
      )
    },
    async finish() {
      closePack()
      for (const { reference, bytes } of finished)
        await repository.store.put(repository.packKey(reference.id), bytes)
      return finished.map(({ reference }) => reference)
    },
  }
}

export function recordOf(
  node: string,
  packs: readonly PackReference[],
  more: Partial<VersionRecord> = {},
): VersionRecord {
  return {
    format: 1,
    workspaceId: 'w',
    version: 1,
    parent: null,
    nonce: '0'.repeat(32),
    message: '',
    author: null,
    metadata: {},
    tags: [],
    createdAt: new Date(0).toISOString(),
    template: false,
    root: { node, mode: 0o755, mtimeSeconds: 1_700_000_000, mtimeNanoseconds: 0 },
    packs,
    stats: { files: 0, directories: 0, symlinks: 0, contentBytes: 0 },
    ...more,
  }
}

export function fileOf(name: string, runs: readonly Run[], more: Partial<TreeEntry> = {}): TreeEntry {
  const size = runs.reduce((sum, { length }) => sum + length, 0)
  const facts = { name, mode: 0o644, mtimeSeconds: 1_600_000_000, mtimeNanoseconds: 0 }
  return { type: 'file', ...facts, size, hardLinkGroup: 0n, runs, ...more } as TreeEntry
}

export function directoryOf(name: string, node: string, entriesBelow: number): TreeEntry {
  const facts = { name, mode: 0o755, mtimeSeconds: 1_600_000_000, mtimeNanoseconds: 0 }
  return { type: 'directory', ...facts, node, entriesBelow, contentBytesBelow: 0 }
}

const CHUNK_BYTES = 256 * 1024
const GRID_BYTES = 64 * 1024
const ZEROS = Buffer.alloc(GRID_BYTES)

/** Stores a real directory the plain way. */
export async function storeTree(
  repository: Repository,
  directory: string,
  packBytes?: number,
): Promise<VersionRecord> {
  const builder = buildPacks(repository, packBytes)
  const stats = { files: 0, directories: 0, symlinks: 0, contentBytes: 0 }
  const groups = new Map<bigint, bigint>()
  const visit = (path: Buffer): { node: string; entries: number; bytes: number } => {
    const entries: TreeEntry[] = []
    let below = 0
    let bytes = 0
    for (const raw of readdirSync(path, { encoding: 'buffer' })) {
      const inner = Buffer.concat([path, Buffer.from('/'), raw])
      const info = lstatSync(inner, { bigint: true })
      const facts = { name: raw.toString('latin1'), mode: Number(info.mode & 0o7777n), ...timeOf(info) }
      below += 1
      if (info.isDirectory()) {
        const child = visit(inner)
        stats.directories += 1
        below += child.entries
        bytes += child.bytes
        entries.push({
          type: 'directory',
          ...facts,
          node: child.node,
          entriesBelow: child.entries,
          contentBytesBelow: child.bytes,
        })
      } else if (info.isSymbolicLink()) {
        stats.symlinks += 1
        entries.push({ type: 'symlink', ...facts, target: readlinkSync(inner, 'latin1') })
      } else if (info.isFile()) {
        const content = readFileSync(inner)
        stats.files += 1
        stats.contentBytes += content.length
        bytes += content.length
        const hardLinkGroup = info.nlink > 1n ? (groups.get(info.ino) ?? BigInt(groups.size + 1)) : 0n
        if (info.nlink > 1n) groups.set(info.ino, hardLinkGroup)
        entries.push({
          type: 'file',
          ...facts,
          size: content.length,
          hardLinkGroup,
          runs: cut(content, builder),
        })
      }
    }
    return { node: builder.node(entries), entries: below, bytes }
  }
  const top = lstatSync(directory, { bigint: true })
  const { node } = visit(Buffer.from(directory))
  const packs = await builder.finish()
  return recordOf(node, packs, { root: { node, mode: Number(top.mode & 0o7777n), ...timeOf(top) }, stats })
}

function cut(content: Buffer, builder: PackBuilder): Run[] {
  const runs: Run[] = []
  const chunk = (bytes: Buffer): void => {
    for (let start = 0; start < bytes.length; start += CHUNK_BYTES) {
      const part = bytes.subarray(start, start + CHUNK_BYTES)
      runs.push({ kind: 'chunk', id: builder.data(part), length: part.length })
    }
  }
  let start = 0
  for (let position = 0; position + GRID_BYTES <= content.length; position += GRID_BYTES) {
    if (!content.subarray(position, position + GRID_BYTES).equals(ZEROS)) continue
    chunk(content.subarray(start, position))
    const last = runs.at(-1)
    if (last?.kind === 'zeros') runs[runs.length - 1] = { ...last, length: last.length + GRID_BYTES }
    else runs.push({ kind: 'zeros', id: '', length: GRID_BYTES })
    start = position + GRID_BYTES
  }
  chunk(content.subarray(start))
  return runs
}

function timeOf(info: BigIntStats): { mtimeSeconds: number; mtimeNanoseconds: number } {
  const nanoseconds = ((info.mtimeNs % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n
  return {
    mtimeSeconds: Number((info.mtimeNs - nanoseconds) / 1_000_000_000n),
    mtimeNanoseconds: Number(nanoseconds),
  }
}
