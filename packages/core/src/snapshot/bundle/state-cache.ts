import crypto from 'node:crypto'
import { mkdirSync, readFileSync } from 'node:fs'
import { dirname } from 'node:path'
import type { ContentId } from '../../bundle/format/content-id.ts'
import { replaceFile } from '../hash/replace-file.ts'

/** What is known of a tree node: a hash without times, and the files, links and empty directories below it. */
export interface NodeState {
  readonly hash: string
  readonly entries: number
}

/**
 * What was derived from immutable content, so that it is not derived again: missing or damaged it costs time only.
 */
export interface StateCache {
  readonly nodes: Map<ContentId, NodeState>
  /** SHA-256 of whole files, by the hash of the list of their chunks. */
  readonly files: Map<string, string>
  /** Writes it down when there is something new. Failing to do so loses speed only. */
  save(): void
}

const MAGIC = 'ws states 1\n'
const DIGEST_BYTES = 32
const NODE_BYTES = 72
const FILE_BYTES = 64
/** Beyond this the cache begins anew. */
const MAX_ITEMS = 1_000_000

export function openStateCache(path: string): StateCache {
  const nodes = new Map<ContentId, NodeState>()
  const files = new Map<string, string>()
  try {
    decode(readFileSync(path), nodes, files)
  } catch {
    // There is none yet, or a damaged one.
  }
  const known = nodes.size + files.size
  return {
    nodes,
    files,
    save() {
      if (nodes.size + files.size === known) return
      if (nodes.size + files.size > MAX_ITEMS) {
        nodes.clear()
        files.clear()
      }
      try {
        mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
        replaceFile(path, encode(nodes, files))
      } catch {
        // The next process derives it again.
      }
    },
  }
}

function encode(nodes: ReadonlyMap<ContentId, NodeState>, files: ReadonlyMap<string, string>): Buffer {
  const start = MAGIC.length + 4
  const buffer = Buffer.alloc(start + nodes.size * NODE_BYTES + files.size * FILE_BYTES + DIGEST_BYTES)
  buffer.write(MAGIC)
  let at = buffer.writeUInt32LE(nodes.size, MAGIC.length)
  for (const [node, state] of nodes) {
    buffer.write(node, at, 'hex')
    buffer.write(state.hash, at + 32, 'hex')
    buffer.writeDoubleLE(state.entries, at + 64)
    at += NODE_BYTES
  }
  for (const [key, content] of files) {
    buffer.write(key, at, 'hex')
    buffer.write(content, at + 32, 'hex')
    at += FILE_BYTES
  }
  crypto.hash('sha256', buffer.subarray(0, at), 'buffer').copy(buffer, at)
  return buffer
}

function decode(buffer: Buffer, nodes: Map<ContentId, NodeState>, files: Map<string, string>): void {
  const end = buffer.length - DIGEST_BYTES
  if (buffer.toString('latin1', 0, MAGIC.length) !== MAGIC) return
  if (!crypto.hash('sha256', buffer.subarray(0, end), 'buffer').equals(buffer.subarray(end))) return
  let at = MAGIC.length + 4
  const nodesEnd = at + buffer.readUInt32LE(MAGIC.length) * NODE_BYTES
  for (; at < nodesEnd; at += NODE_BYTES) {
    const state = { hash: buffer.toString('hex', at + 32, at + 64), entries: buffer.readDoubleLE(at + 64) }
    nodes.set(buffer.toString('hex', at, at + 32), state)
  }
  for (; at < end; at += FILE_BYTES) {
    files.set(buffer.toString('hex', at, at + 32), buffer.toString('hex', at + 32, at + 64))
  }
}
