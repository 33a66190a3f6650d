import { randomBytes } from 'node:crypto'
import {
  closeSync,
  fstatSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  writeSync,
  type BigIntStats,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { WorkspaceError } from '../errors.ts'
import { errnoOf, toWorkspaceError } from '../filesystem/filesystem-error.ts'
import { fillBuffer } from '../filesystem/fill-buffer.ts'
import { defineStore, type StoreMethods } from './define-store.ts'
import { assertObjectKey } from './object-key.ts'
import { conditionFailed, resolveByteRange } from './object-options.ts'
import type { GetOptions, ObjectInfo, ObjectStore, PutOptions, StoredObject } from './object-store.ts'
import { readBody } from './read-body.ts'

const READ_BYTES = 1_048_576
/** Holds what is being written; no key can begin with a dot. */
const ASIDE = '.aside'
const MAX_KEY_BYTES = 200

/**
 * Objects as plain files in a directory of this library's own state, for keys that the bundle engine makes: letters,
 * digits, `-`, `_` and `.` in segments that do not begin with a dot, no key the folder of another. Keeps no metadata,
 * and does not flush: what a power failure damages is found by the checksums of what is stored. For everything else
 * there is `@ws/store-local`.
 *
 * @param root absolute; made when it is not there
 */
export function privateDirectoryStore(root: string): ObjectStore {
  const methods: StoreMethods = {
    name: 'private',
    capabilities: {
      createIfAbsent: 'atomic',
      replaceIfMatch: false,
      rangeReads: true,
      metadata: false,
      signedUrls: false,
      maxKeyBytes: MAX_KEY_BYTES,
    },

    async get(key, options) {
      return attempt('read', key, () => openObject(key, join(root, key), options))
    },

    async head(key) {
      return attempt('read', key, () => {
        const stats = lookAt(join(root, key))
        return stats === null ? null : describe(key, stats)
      })
    },

    async put(key, body, options) {
      if (options.ifMatch !== undefined) throw unsupported(key)
      const temporary = join(root, ASIDE, randomBytes(12).toString('hex'))
      try {
        await writeAside(temporary, readBody(key, body, options))
        options.signal?.throwIfAborted()
        return attempt('write', key, () => putInPlace(key, temporary, join(root, key), options))
      } finally {
        rmSync(temporary, { force: true })
      }
    },

    async delete(key) {
      const path = join(root, key)
      attempt('delete', key, () => {
        if (lookAt(path) !== null) rmSync(path, { force: true })
      })
    },

    async *list(prefix, { startAfter = '', signal }) {
      for (const key of listKeys(root, '', prefix, startAfter)) {
        signal?.throwIfAborted()
        const stats = attempt('list', key, () => lookAt(join(root, key)))
        if (stats !== null) yield describe(key, stats)
      }
    },
  }
  return defineStore(methods, { assertKey: assertPlainKey })
}

function assertPlainKey(key: string): void {
  assertObjectKey(key)
  const isPlain = /^[A-Za-z0-9_-][A-Za-z0-9._-]*(\/[A-Za-z0-9_-][A-Za-z0-9._-]*)*$/.test(key)
  if (key.length > MAX_KEY_BYTES || !isPlain) throw noPlace(key)
}

/** Removes what killed writers left behind. Call it only while nobody else writes to the store. */
export function sweepPrivateStore(root: string): void {
  rmSync(join(root, ASIDE), { recursive: true, force: true })
}

/** `null`: no object is there. */
function lookAt(path: string): BigIntStats | null {
  try {
    const stats = lstatSync(path, { bigint: true, throwIfNoEntry: false })
    return stats?.isFile() === true ? stats : null
  } catch (error) {
    if (errnoOf(error) === 'ENOTDIR') return null
    throw error
  }
}

function describe(key: string, stats: BigIntStats): ObjectInfo {
  return {
    key,
    size: Number(stats.size),
    etag: `${stats.ino}-${stats.mtimeNs}-${stats.size}`,
    modifiedAt: new Date(Number(stats.mtimeMs)),
    metadata: {},
  }
}

function openObject(
  key: string,
  path: string,
  { range, reusesChunks = false, signal }: GetOptions,
): StoredObject | null {
  let fd: number
  try {
    fd = openSync(path, 'r')
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'EISDIR'].includes(errnoOf(error) ?? '')) return null
    throw error
  }
  let isOpen = true
  const close = (): void => {
    if (isOpen) closeSync(fd)
    isOpen = false
  }
  try {
    const stats = fstatSync(fd, { bigint: true })
    if (!stats.isFile()) {
      close()
      return null
    }
    const info = describe(key, stats)
    const { start, end } =
      range === undefined ? { start: 0, end: info.size } : resolveByteRange(key, range, info.size)
    const chunks = async function* (): AsyncGenerator<Uint8Array> {
      let memory = Buffer.alloc(0)
      try {
        for (let position = start; position < end && isOpen;) {
          signal?.throwIfAborted()
          const length = Math.min(READ_BYTES, end - position)
          if (!reusesChunks || memory.length < length) memory = Buffer.allocUnsafeSlow(length)
          const chunk = memory.subarray(0, length)
          attempt('read', key, () => readChunk(key, fd, position, chunk))
          position += length
          yield chunk
        }
      } finally {
        if (reusesChunks) memory.buffer.transfer(0)
        close()
      }
    }
    return { info, body: chunks(), discard: async () => close() }
  } catch (error) {
    close()
    throw error
  }
}

function readChunk(key: string, fd: number, position: number, chunk: Uint8Array): void {
  if (fillBuffer(fd, chunk, 0, chunk.length, position) < chunk.length)
    throw new WorkspaceError('CORRUPT', `The object ${key} was cut short while it was read.`)
}

async function writeAside(temporary: string, chunks: AsyncIterable<Uint8Array>): Promise<void> {
  mkdirSync(dirname(temporary), { recursive: true, mode: 0o700 })
  const fd = openSync(temporary, 'wx', 0o600)
  try {
    for await (const chunk of chunks) {
      attempt('write', temporary, () => {
        for (let done = 0; done < chunk.length;) done += writeSync(fd, chunk, done)
      })
    }
  } finally {
    closeSync(fd)
  }
}

function putInPlace(key: string, temporary: string, path: string, options: PutOptions): ObjectInfo {
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  } catch (error) {
    throw ['EEXIST', 'ENOTDIR'].includes(errnoOf(error) ?? '') ? noPlace(key) : error
  }
  if (options.ifAbsent === true) {
    try {
      linkSync(temporary, path)
    } catch (error) {
      if (errnoOf(error) !== 'EEXIST') throw error
      throw isDirectory(path) ? notAnObject(key, path, error) : conditionFailed(key, 'ifAbsent')
    }
  } else {
    try {
      renameSync(temporary, path)
    } catch (error) {
      throw isDirectory(path) ? notAnObject(key, path, error) : error
    }
  }
  return describe(key, lstatSync(path, { bigint: true }))
}

/** A folder sorts with the `/` that its keys have after its name. */
function* listKeys(root: string, folder: string, prefix: string, startAfter: string): Generator<string> {
  let entries
  try {
    entries = readdirSync(join(root, folder), { withFileTypes: true })
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return
    throw toWorkspaceError(error, 'list', root)
  }
  const keys = entries
    .filter(({ name }) => !name.startsWith('.'))
    .map((entry) => `${folder}${entry.name}${entry.isDirectory() ? '/' : ''}`)
    .sort((left, right) => (left < right ? -1 : 1))
  for (const key of keys) {
    const isFolder = key.endsWith('/')
    if (!key.startsWith(prefix) && !(isFolder && prefix.startsWith(key))) continue
    if (isFolder) {
      const isBehind = key < startAfter && !startAfter.startsWith(key)
      if (!isBehind) yield* listKeys(root, key, prefix, startAfter)
    } else if (key > startAfter) yield key
  }
}

function attempt<T>(action: string, key: string, work: () => T): T {
  try {
    return work()
  } catch (error) {
    throw toWorkspaceError(error, `${action} in the private store`, key)
  }
}

function isDirectory(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.isDirectory() === true
}

/** Nothing of this library makes one: to take it for absence would have every write fail, and to remove it is not ours. */
function notAnObject(key: string, path: string, cause: unknown): WorkspaceError {
  return new WorkspaceError(
    'CORRUPT',
    `The private store cannot write ${key}: somebody has put a directory in its place. Move ${path} away, then try again.`,
    { cause, details: { key, path } },
  )
}

function noPlace(key: string): WorkspaceError {
  return new WorkspaceError(
    'INVALID_INPUT',
    `The private store has no place for the key ${JSON.stringify(key)}.`,
    {
      details: { key },
    },
  )
}

function unsupported(key: string): WorkspaceError {
  return new WorkspaceError('UNSUPPORTED', 'The private store replaces nothing on a condition.', {
    details: { key, condition: 'ifMatch' },
  })
}
