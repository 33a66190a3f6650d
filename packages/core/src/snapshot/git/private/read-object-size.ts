import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { join } from 'node:path'
import { constants, inflateSync } from 'node:zlib'
import { listNames } from './own-objects.ts'
import { readPackEntryHead, readPackNumber } from './pack-entry.ts'
import { readPackIndex, type PackIndex } from './pack-index.ts'
import type { PrivateRepository } from './private-repository.ts'
import { idBytesOf } from './object-format.ts'

/** The least that a pack entry, or a loose object, says what it is in, a chain of deltas aside. */
const START_BYTES = 512

/**
 * The sizes of a few objects of the private repository by what their first bytes say, without a process of git, whose
 * start takes longer than the rest of a small diff.
 * @returns a function that says `null` for what is not there and for all that is not plain: then git is to be asked
 */
export function objectSizeReader(repository: PrivateRepository): (id: string) => number | null {
  const { directory, format } = repository
  const idBytes = idBytesOf(format)
  const packs = join(directory, 'objects', 'pack')
  let indexes: { readonly pack: string; readonly index: PackIndex }[] | null = null
  const open = (): NonNullable<typeof indexes> =>
    listNames(packs)
      .filter((name) => /^pack-[0-9a-f]+\.idx$/.test(name))
      .map((name) => ({
        pack: join(packs, name.replace(/idx$/, 'pack')),
        index: readPackIndex(join(packs, name), 0, idBytes),
      }))
  return (id) => {
    try {
      const loose = join(directory, 'objects', id.slice(0, 2), id.slice(2))
      const start = readStart(loose, 0)
      if (start !== null) return sizeOfLoose(start)
      for (const { pack, index } of (indexes ??= open())) {
        const offset = index.offsetOf(id)
        const entry = offset === null ? null : readStart(pack, offset)
        if (entry !== null) return sizeInPack(entry, idBytes)
      }
      return null
    } catch {
      // Damage is found, and told, by whoever reads the content.
      return null
    }
  }
}

/** @returns `null` when there is no such file */
function readStart(path: string, offset: number): Buffer | null {
  let file: number
  try {
    file = openSync(path, 'r')
  } catch {
    return null
  }
  try {
    if (!fstatSync(file).isFile()) return null
    const start = Buffer.alloc(START_BYTES)
    const length = readSync(file, start, 0, START_BYTES, offset)
    return length === 0 ? null : start.subarray(0, length)
  } finally {
    closeSync(file)
  }
}

/** `blob 12`, a zero byte, and the content; all of it compressed. */
function sizeOfLoose(start: Buffer): number | null {
  const [, size] = /^(?:blob|tree) (\d+)\0/.exec(inflateStart(start).toString('latin1')) ?? []
  return size === undefined ? null : Number(size)
}

/** Of a delta the object's size is in it, behind that of its base. */
function sizeInPack(entry: Buffer, idBytes: number): number | null {
  const { kind, size, base, next } = readPackEntryHead(entry, idBytes)
  if (base === null) return kind >= 1 && kind <= 4 ? size : null
  const delta = inflateStart(entry.subarray(next))
  const before = readPackNumber(delta, 0, 7)
  return before.next < delta.length ? readPackNumber(delta, before.next, 7).value : null
}

function inflateStart(compressed: Buffer): Buffer {
  return inflateSync(compressed, { finishFlush: constants.Z_SYNC_FLUSH })
}
