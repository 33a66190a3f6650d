import { lstatSync, readdirSync, type Stats } from 'node:fs'
import { join } from 'node:path'
import { errnoOf } from '../../../filesystem/filesystem-error.ts'
import { readAdopted } from '../private/adopted-objects.ts'
import { readPackIndex, type PackIndex } from '../private/pack-index.ts'
import type { Pause } from '../table/pause.ts'
import { keptObjectsDirectory } from '../private/keep-repository-objects.ts'
import { lentFiles } from '../private/lenders.ts'
import type { PrivateRepository } from '../private/private-repository.ts'
import { statesDirectory } from '../user/repository-state.ts'
import { idBytesOf } from '../private/object-format.ts'

/**
 * What the private repository holds, with what each part takes of the disk: a file that has several names there counts
 * once, and one that the user's repository has too takes nothing.
 */
export interface StoreContents {
  /** Loose objects. */
  readonly loose: ReadonlyMap<string, number>
  /** Those of them that are the user's, by the names that they get in `history`. */
  readonly adopted: ReadonlyMap<string, KeptObjects>
  readonly packs: readonly StoredPack[]
  /** What is kept of the user's objects besides, by name: `<first two digits>/<others>`, or `pack/pack-<id>`. */
  readonly history: ReadonlyMap<string, KeptObjects>
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
  /** The same of what is kept besides under that name. */
  readonly name: string
  readonly bytes: number
  readonly indexBytes: number
  /** Whether the user's repository has it too, so that removing it would free nothing. */
  readonly isShared: boolean
  readonly index: PackIndex
}

/** A loose object, or a pack with its index. */
export interface KeptObjects {
  readonly paths: readonly string[]
  readonly bytes: number
  /** Whether snapshots have the same files by other names, so that removing these frees nothing by itself. */
  readonly isHeld: boolean
  /** Whether the user has them too. */
  readonly isShared: boolean
  /** Milliseconds since 1970; no earlier than when the user's went, which changed the number of links. */
  readonly goneSince: number
}

const BLOCK_BYTES = 512

export async function measureStore(own: PrivateRepository, pause: Pause): Promise<StoreContents> {
  const disk = countDisk(own, pause)
  const objects = join(own.directory, 'objects')
  const loose = new Map<string, number>()
  const adopted = new Map<string, KeptObjects>()
  const isAdopted = readAdopted(own)
  for (const fan of listNames(objects).filter((name) => /^[0-9a-f]{2}$/.test(name))) {
    for await (const [file, stats] of filesIn(join(objects, fan), pause)) {
      const [id, name] = [fan + file, `${fan}/${file}`]
      const isShared = disk.isLent(stats, name)
      const bytes = isShared ? 0 : disk.count(stats)
      loose.set(id, bytes)
      if (!isAdopted.has(id)) continue
      const paths = [join(objects, fan, file)]
      adopted.set(name, { paths, bytes, isHeld: false, isShared, goneSince: stats.ctimeMs })
    }
  }
  const packs = await measurePacks(own, disk)
  const history = await measureHistory(own, disk)
  const countIn = async (directory: string) => {
    const sizes = new Map<string, number>()
    for await (const [name, stats] of filesIn(directory, pause)) sizes.set(name, disk.count(stats))
    return sizes
  }
  const sidecars = await countIn(join(own.directory, 'sidecars'))
  const omitted = await countIn(join(own.directory, 'omitted'))
  const repository = await countIn(statesDirectory(own))
  for (const name of ['state', 'snapshots', 'lenders', 'adopted']) {
    const stats = lstatSync(join(own.directory, name), { throwIfNoEntry: false })
    if (stats !== undefined) disk.count(stats)
  }
  return { loose, adopted, packs, history, sidecars, omitted, repository, bytes: disk.bytes() }
}

interface DiskCount {
  readonly pause: Pause
  /** Whether the user's repository has the very file. */
  readonly isLent: (stats: Stats, name: string) => boolean
  /** @returns what the file takes, which adds to the sum only once */
  readonly count: (stats: Stats) => number
  readonly isCounted: (stats: Stats) => boolean
  readonly bytes: () => number
}

function countDisk(own: PrivateRepository, pause: Pause): DiskCount {
  const counted = new Set<string>()
  let bytes = 0
  const fileOf = ({ dev, ino }: Stats) => `${dev}:${ino}`
  return {
    pause,
    isLent: lentFiles(own),
    count(stats) {
      const size = stats.blocks * BLOCK_BYTES
      if (stats.nlink === 1 || !counted.has(fileOf(stats))) bytes += size
      if (stats.nlink > 1) counted.add(fileOf(stats))
      return size
    },
    isCounted: (stats) => counted.has(fileOf(stats)),
    bytes: () => bytes,
  }
}

async function measurePacks(own: PrivateRepository, disk: DiskCount): Promise<StoredPack[]> {
  const packs: StoredPack[] = []
  const directory = join(own.directory, 'objects', 'pack')
  for (const file of listNames(directory).filter((each) => each.endsWith('.idx'))) {
    await disk.pause()
    const path = join(directory, file.slice(0, -'.idx'.length))
    const name = `pack/${file.slice(0, -'.idx'.length)}`
    const stats = lstatSync(`${path}.pack`, { throwIfNoEntry: false })
    const indexStats = lstatSync(`${path}.idx`, { throwIfNoEntry: false })
    if (stats === undefined || indexStats === undefined) continue
    const isShared = disk.isLent(stats, `${name}.pack`)
    const index = readPackIndex(`${path}.idx`, stats.size, idBytesOf(own.format))
    if (!isShared) disk.count(stats)
    const indexBytes = isShared ? 0 : disk.count(indexStats)
    packs.push({ path, name, bytes: isShared ? 0 : stats.size, indexBytes, isShared, index })
  }
  return packs
}

async function measureHistory(own: PrivateRepository, disk: DiskCount): Promise<Map<string, KeptObjects>> {
  const history = new Map<string, KeptObjects>()
  const directory = keptObjectsDirectory(own)
  for (const fan of listNames(directory)) {
    for await (const [file, stats] of filesIn(join(directory, fan), disk.pause)) {
      const name = `${fan}/${file.replace(/\.(?:pack|idx)$/, '')}`
      const others = history.get(name)
      const isShared = disk.isLent(stats, `${fan}/${file}`)
      const isHeld = disk.isCounted(stats)
      history.set(name, {
        paths: [...(others?.paths ?? []), join(directory, fan, file)],
        bytes: (others?.bytes ?? 0) + (isShared ? 0 : disk.count(stats)),
        isHeld: isHeld || others?.isHeld === true,
        isShared: isShared || others?.isShared === true,
        goneSince: Math.max(stats.ctimeMs, others?.goneSince ?? 0),
      })
    }
  }
  return history
}

/** What an object takes of the disk, in all the places where snapshots have it. */
export function bytesOfObject({ loose, packs }: Pick<StoreContents, 'loose' | 'packs'>, id: string): number {
  let bytes = loose.get(id) ?? 0
  for (const { isShared, index } of packs) if (!isShared) bytes += index.bytesOf(id)
  return bytes
}

async function* filesIn(directory: string, pause: Pause): AsyncGenerator<[string, Stats]> {
  for (const name of listNames(directory)) {
    const pausing = pause()
    if (pausing !== undefined) await pausing
    const stats = lstatSync(join(directory, name), { throwIfNoEntry: false })
    if (stats !== undefined) yield [name, stats]
  }
}

function listNames(directory: string): string[] {
  try {
    return readdirSync(directory)
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(errnoOf(error) ?? '')) return []
    throw error
  }
}
