import { randomInt } from 'node:crypto'
import { WorkspaceError } from '../../../errors.ts'
import type { ContentId } from '../../format/content-id.ts'
import { damagedObject } from '../../format/damaged-object.ts'
import type { PackChunk, PackIndex } from '../../format/pack-index.ts'
import { readPackIndex } from '../../format/pack-reader.ts'
import type { PackReference } from '../../format/version-record.ts'
import { damageIn } from '../repository/damage.ts'
import { readTwice } from '../repository/read-twice.ts'
import { findReplacements } from '../repository/repairs.ts'
import type { Repository } from '../repository/repository.ts'

export interface ChunkPlace {
  readonly pack: PackIndex
  readonly chunk: PackChunk
}

/** Finds chunks in the packs of a version. */
export interface ChunkLocator {
  /**
   * Looks in the packs that are open, then opens more, newest first, until it is found.
   * @throws `CORRUPT` when no pack has it; details hold the first object that could not be read
   */
  locate(id: ContentId): Promise<ChunkPlace>
  /** As `locate`, among the packs that are open. */
  find(id: ContentId): ChunkPlace | null
  openPacks(): readonly PackIndex[]
  /** Tells of each pack, also of those that are open: as soon as its index has come, before its chunks can be found. */
  onIndex(listener: (pack: PackIndex) => void): void
  /** Packs whose index could not be read so far: the error by the pack's id. */
  readonly damagedPacks: ReadonlyMap<string, unknown>
}

/** An index is one request; up to so many are waited for at once. */
const MAX_PACKS_AT_ONCE = 8
const NONE: Promise<readonly PackReference[]> = Promise.resolve([])

/**
 * Takes the indexes as they are, and one table over them of 8 bytes for each chunk.
 * @param all whether most packs will be needed, so that they are opened several at a time from the beginning
 */
export function createChunkLocator(
  repository: Repository,
  packs: readonly PackReference[],
  signal?: AbortSignal,
  all = false,
): ChunkLocator {
  const unopened = [...packs]
  const table = createChunkTable()
  const damagedPacks = new Map<string, unknown>()
  let opening: Promise<void> | null = null
  let packsAtOnce = all ? MAX_PACKS_AT_ONCE : 1
  let replacements: Promise<readonly PackReference[]> | null = null
  const listeners: ((pack: PackIndex) => void)[] = []

  async function openMore(): Promise<void> {
    // What a pack has lost is looked for in its replacements first.
    const replacing = replacements ?? findReplacements(repository, packs, signal)
    const opened = openPacks(unopened.splice(-packsAtOnce).toReversed())
    packsAtOnce = Math.min(packsAtOnce * 2, MAX_PACKS_AT_ONCE)
    const [replaced, indexes] = await Promise.all([replacing.then(openPacks), opened])
    replacements = NONE
    for (const index of [...replaced, ...indexes]) if (index !== null) table.add(index)
  }

  async function openPacks(batch: readonly PackReference[]): Promise<(PackIndex | null)[]> {
    return Promise.all(
      batch.map(async (pack) => {
        try {
          const index = await readTwice(() => readPackIndex(repository, pack, signal))
          for (const tell of listeners) tell(index)
          return index
        } catch (error) {
          if (!WorkspaceError.is(error, 'CORRUPT')) throw error
          damagedPacks.set(pack.id, damageIn(repository.packKey(pack.id), error))
          return null
        }
      }),
    )
  }

  return {
    damagedPacks,
    find: table.find,
    openPacks: table.packs,
    onIndex(listener) {
      table.packs().forEach(listener)
      listeners.push(listener)
    },
    async locate(id) {
      for (;;) {
        const place = table.find(id)
        if (place !== null) return place
        if (opening === null && unopened.length === 0) throw lostChunk(id, damagedPacks)
        opening ??= openMore().finally(() => (opening = null))
        await opening
      }
    },
  }
}

/** An open-addressed table over the indexes, of numbers that count the chunks of all of them, plus one. */
function createChunkTable() {
  const packs: PackIndex[] = []
  const firstChunks: number[] = []
  let chunkCount = 0
  let slots = new Int32Array(1024)

  function chunkOf(number: number): ChunkPlace {
    let low = 0
    let high = packs.length - 1
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if ((firstChunks[middle] ?? 0) <= number) low = middle
      else high = middle - 1
    }
    const pack = packs[low]
    if (pack === undefined) throw new WorkspaceError('INTERNAL', 'A chunk was looked for in no pack.')
    return { pack, chunk: pack.chunkAt(number - (firstChunks[low] ?? 0)) }
  }

  function insert(number: number, pack: PackIndex, position: number): void {
    const mask = slots.length - 1
    let slot = slotOf(pack.wordAt(position, 0), pack.wordAt(position, 12)) & mask
    while (slots[slot] !== 0) slot = (slot + 1) & mask
    slots[slot] = number + 1
  }

  function insertAll(pack: PackIndex, first: number): void {
    for (let position = 0; position < pack.chunkCount; position += 1) insert(first + position, pack, position)
  }

  return {
    packs: (): readonly PackIndex[] => packs,
    find: (id: ContentId): ChunkPlace | null => {
      const mask = slots.length - 1
      const left = Number.parseInt(id.slice(0, 8), 16) | 0
      const right = Number.parseInt(id.slice(24, 32), 16) | 0
      for (let slot = slotOf(left, right) & mask; ; slot = (slot + 1) & mask) {
        const entry = slots[slot] ?? 0
        if (entry === 0) return null
        const place = chunkOf(entry - 1)
        if (place.chunk.id === id) return place
      }
    },
    add(pack: PackIndex): void {
      const first = chunkCount
      packs.push(pack)
      firstChunks.push(first)
      chunkCount += pack.chunkCount
      if (chunkCount * 2 > slots.length) {
        slots = new Int32Array(2 ** Math.ceil(Math.log2(chunkCount * 3)))
        packs.forEach((each, index) => insertAll(each, firstChunks[index] ?? 0))
      } else insertAll(pack, first)
    },
  }
}

/** Random for each process: the ids in a hostile index are not checked, and must not be able to pile up in one slot. */
const factors = [randomInt(2 ** 31) * 2 + 1, randomInt(2 ** 31) * 2 + 1] as const

function slotOf(left: number, right: number): number {
  const mixed = Math.imul(left ^ factors[1], factors[0]) ^ Math.imul((right + factors[0]) | 0, factors[1])
  return Math.imul(mixed ^ (mixed >>> 15), factors[0]) >>> 0
}

function lostChunk(id: ContentId, damagedPacks: ReadonlyMap<string, unknown>): unknown {
  const [cause] = damagedPacks.values()
  return cause ?? damagedObject(`chunk ${id}`, 'no pack of the version holds it')
}
