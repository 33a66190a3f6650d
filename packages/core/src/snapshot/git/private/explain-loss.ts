import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { WorkspaceError } from '../../../errors.ts'
import { fromBytePath, type BytePath } from '../../byte-path.ts'
import type { PrivateRepository } from './private-repository.ts'
import { idBytesOf, type ObjectFormat } from './object-format.ts'

/**
 * Our packs may be hard links to the user's: nobody has a reason to write to a pack, but whoever does so in place
 * writes to both. That is looked into when stored data cannot be read, not before: checking reads all of it.
 * @param path the file whose content was being read; `null` when git was comparing
 * @returns `CORRUPT` with the damaged packs and the path, or the error itself when it has another cause
 */
export async function explainLoss(
  own: PrivateRepository,
  path: BytePath | null,
  error: unknown,
): Promise<unknown> {
  if (!WorkspaceError.is(error, 'UNAVAILABLE')) return error
  const packs = await findDamagedPacks(own)
  const isUnreadable = /unable to read [0-9a-f]{40}|bad object|is corrupt/.test(error.message)
  if (path === null && packs.length === 0 && !isUnreadable) return error
  const what = path === null ? 'of the snapshots' : `content of ${JSON.stringify(fromBytePath(path))}`
  const place = packs.length === 0 ? '' : ` (${packs.join(', ')} was written to by something else)`
  return new WorkspaceError(
    'CORRUPT',
    `The stored ${path === null ? `data ${what}` : what} is damaged or gone${place}. Name other paths to roll back without it, or take a new snapshot.`,
    { cause: error, details: { packs, ...(path === null ? {} : { path: fromBytePath(path) }) } },
  )
}

export async function findDamagedPacks(own: PrivateRepository): Promise<string[]> {
  const directory = join(own.directory, 'objects', 'pack')
  const damaged: string[] = []
  for (const name of await readdir(directory)) {
    if (name.endsWith('.pack') && !(await isWhole(join(directory, name), own.format))) damaged.push(name)
  }
  return damaged.sort()
}

/** A pack ends with the hash of all that is before. */
async function isWhole(pack: string, format: ObjectFormat): Promise<boolean> {
  const idBytes = idBytesOf(format)
  const hash = createHash(format)
  let end: Buffer = Buffer.alloc(0)
  for await (const chunk of createReadStream(pack, { highWaterMark: 1 << 20 }) as AsyncIterable<Buffer>) {
    const both = Buffer.concat([end, chunk])
    hash.update(both.subarray(0, Math.max(both.length - idBytes, 0)))
    end = both.subarray(Math.max(both.length - idBytes, 0))
  }
  return end.equals(hash.digest())
}
