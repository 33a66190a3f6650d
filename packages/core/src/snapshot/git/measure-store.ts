import { lstatSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { errnoOf } from '../../filesystem/filesystem-error.ts'
import { readPackIndex, type PackIndex } from './pack-index.ts'
import type { Pause } from './pause.ts'
import { keptObjectsDirectory } from './keep-repository-objects.ts'
import type { PrivateRepository } from './private-repository.ts'
import { statesDirectory } from './repository-state.ts'
import { idBytesOf } from './object-format.ts'

/** What the private repository holds, with what each part takes of the disk. */
export interface StoreContents {
  /** Loose objects. One that is a hard link to the user's takes nothing. */
  readonly loose: ReadonlyMap<string, number>
  readonly packs: readonly StoredPack[]
  /** Sidecars and lists of what was left out, by their names. */
  readonly sidecars: ReadonlyMap<string, number>
  readonly omitted: ReadonlyMap<string, number>
  /** What was recorded of the user's repository besides files: indexes, refs. */
  readonly repository: ReadonlyMap<string, number>
  readonly bytes: number
}

export interface StoredPack {
  /** Without ending. */
  readonly path: string
  readonly bytes: number
  /** Whether the user's repository has it too, so that removing it would free nothing. */
  readonly isShared: boolean
  readonly index: PackIndex
}

const BLOCK_BYTES = 512

export async function measureStore(own: PrivateRepository, pause: Pause): Promise<StoreContents> {
  const objects = join(own.directory, 'objects')
  const loose = new Map<string, number>()
  for (const fan of listNames(objects).filter((name) => /^[0-9a-f]{2}$/.test(name))) {
    for (const [name, bytes] of await sizesIn(join(objects, fan), pause)) loose.set(fan + name, bytes)
  }
  const packs: StoredPack[] = []
  const directory = join(objects, 'pack')
  const idBytes = idBytesOf(own.format)
  for (const name of listNames(directory).filter((each) => each.endsWith('.idx'))) {
    await pause()
    const path = join(directory, name.slice(0, -'.idx'.length))
    const stats = lstatSync(`${path}.pack`, { throwIfNoEntry: false })
    if (stats === undefined) continue
    const isShared = stats.nlink > 1
    const index = readPackIndex(`${path}.idx`, stats.size, idBytes)
    packs.push({ path, bytes: isShared ? 0 : stats.size, isShared, index })
  }
  const sidecars = new Map(await sizesIn(join(own.directory, 'sidecars'), pause))
  const omitted = new Map(await sizesIn(join(own.directory, 'omitted'), pause))
  const repository = new Map(await sizesIn(statesDirectory(own), pause))
  const history = keptObjectsDirectory(own)
  const kept: (readonly [string, number])[] = []
  for (const name of listNames(history)) kept.push(...(await sizesIn(join(history, name), pause)))
  let bytes = sizeOf(join(own.directory, 'state')) + sizeOf(join(own.directory, 'snapshots'))
  for (const [, size] of kept) bytes += size
  for (const sizes of [loose, sidecars, omitted, repository]) for (const size of sizes.values()) bytes += size
  for (const pack of packs) bytes += pack.bytes
  return { loose, packs, sidecars, omitted, repository, bytes }
}

/** What an object takes of the disk, in all the places where it is. */
export function bytesOfObject({ loose, packs }: Pick<StoreContents, 'loose' | 'packs'>, id: string): number {
  let bytes = loose.get(id) ?? 0
  for (const { isShared, index } of packs) if (!isShared) bytes += index.bytesOf(id)
  return bytes
}

async function sizesIn(directory: string, pause: Pause): Promise<[string, number][]> {
  const sizes: [string, number][] = []
  for (const name of listNames(directory)) {
    const pausing = pause()
    if (pausing !== undefined) await pausing
    sizes.push([name, sizeOf(join(directory, name))])
  }
  return sizes
}

/** Of the disk; a further name of the same file takes nothing. */
function sizeOf(path: string): number {
  const stats = lstatSync(path, { throwIfNoEntry: false })
  return stats === undefined || stats.nlink > 1 ? 0 : stats.blocks * BLOCK_BYTES
}

function listNames(directory: string): string[] {
  try {
    return readdirSync(directory)
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(errnoOf(error) ?? '')) return []
    throw error
  }
}
