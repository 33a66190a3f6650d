import { Buffer } from 'node:buffer'
import { WorkspaceError } from '../../../errors.ts'
import { damagedObject } from '../../format/damaged-object.ts'
import { readJson } from '../../format/json-reader.ts'
import type { PackReference } from '../../format/version-record.ts'
import { readObject } from './read-object.ts'
import { readTwice } from './read-twice.ts'
import type { Repository } from './repository.ts'

/** An object that says: what this pack has lost, that one holds. Its key says all but the lengths. */
export interface Repair {
  readonly key: string
  /** Id of the pack that is damaged or missing. */
  readonly packId: string
  /** Id of the pack to look into as well. */
  readonly replacementId: string
}

const MAX_REPAIR_BYTES = 1024
/** Repairs are rare; a store that shows more is not what it says, and the rest is not looked at. */
const MAX_REPAIRS = 10_000

export async function listRepairs(repository: Repository, signal?: AbortSignal): Promise<readonly Repair[]> {
  const prefix = repository.repairsPrefix
  const repairs: Repair[] = []
  for await (const { key } of repository.store.list(prefix, { signal })) {
    const [, packId, replacementId] = /^([0-9a-f]{32})\/([0-9a-f]{32})$/.exec(key.slice(prefix.length)) ?? []
    if (packId !== undefined && replacementId !== undefined) repairs.push({ key, packId, replacementId })
    if (repairs.length >= MAX_REPAIRS) break
  }
  return repairs
}

/**
 * Packs that hold what some of these have lost; also what replacements have lost in their turn. One that cannot be told
 * because its repair is damaged is left out. By one listing, and a read for each that concerns these packs.
 */
export async function findReplacements(
  repository: Repository,
  packs: readonly PackReference[],
  signal?: AbortSignal,
): Promise<readonly PackReference[]> {
  const repairs = await listRepairs(repository, signal)
  const known = new Set(packs.map(({ id }) => id))
  const found: PackReference[] = []
  for (let isNew = repairs.length > 0; isNew;) {
    isNew = false
    for (const repair of repairs) {
      if (!known.has(repair.packId) || known.has(repair.replacementId)) continue
      known.add(repair.replacementId)
      const reference = await readRepair(repository, repair, signal)
      if (reference === null) continue
      found.push(reference)
      isNew = true
    }
  }
  return found
}

/** The packs must be in the store already, and must not have been there for longer than a save may take. */
export async function putRepair(
  repository: Repository,
  packId: string,
  { id, bytes, indexBytes }: PackReference,
  signal?: AbortSignal,
): Promise<void> {
  const content = Buffer.from(JSON.stringify({ format: 1, bytes, indexBytes }))
  await repository.store.put(repository.repairKey(packId, id), content, { size: content.length, signal })
}

/**
 * Adds the replacements of packs to those that are needed. One of a pack that no version needs stays as long as the pack
 * does: somebody may be about to name it. Only who is alone can tell that nobody will.
 * @returns repairs of packs that no version needs
 */
export function keepReplacements(
  repairs: readonly Repair[],
  needed: Set<string>,
  exclusive: boolean,
): readonly Repair[] {
  for (let isNew = repairs.length > 0; isNew;) {
    isNew = false
    for (const { packId, replacementId } of repairs) {
      if (needed.has(replacementId) || (exclusive && !needed.has(packId))) continue
      needed.add(replacementId)
      isNew = true
    }
  }
  return repairs.filter(({ packId }) => !needed.has(packId))
}

async function readRepair(
  repository: Repository,
  { key, replacementId }: Repair,
  signal: AbortSignal | undefined,
): Promise<PackReference | null> {
  try {
    const bytes = await readTwice(() => readAgreed(repository, key, signal))
    if (bytes === null) return null
    const json = readJson(bytes, `object ${JSON.stringify(key)}`)
    json.field('format').integer(1, 1)
    return {
      id: replacementId,
      bytes: json.field('bytes').integer(0),
      indexBytes: json.field('indexBytes').integer(0),
    }
  } catch (error) {
    if (WorkspaceError.is(error, 'CORRUPT')) return null
    throw error
  }
}

/** A repair has no checksum, so it counts when two reads, one after the other, give the same. @throws `CORRUPT` */
async function readAgreed(
  repository: Repository,
  key: string,
  signal: AbortSignal | undefined,
): Promise<Uint8Array | null> {
  let last: Uint8Array | null = null
  for (let read = 1; read <= 4; read += 1) {
    const found = await readObject(repository.store, key, MAX_REPAIR_BYTES, signal)
    if (found === null) return null
    if (last !== null && Buffer.compare(found.bytes, last) === 0) return last
    last = found.bytes
  }
  throw damagedObject(`object ${JSON.stringify(key)}`, 'it is another one each time that it is read')
}
