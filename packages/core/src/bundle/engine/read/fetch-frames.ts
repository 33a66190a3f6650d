import { WorkspaceError } from '../../../errors.ts'
import type { PackIndex } from '../../format/pack-index.ts'
import { readStoredFrames } from '../../format/pack-reader.ts'
import type { Repository } from '../repository/repository.ts'

export interface FrameWork {
  readonly pack: PackIndex
  readonly frame: number
}

export interface FetchFramesOptions<Work extends FrameWork> {
  /** In any order. */
  readonly work: readonly Work[]
  /** Takes a frame as it is stored; so many at once as `width` says. */
  readonly onFrame: (work: Work, stored: Uint8Array) => Promise<void>
  /** Takes a frame that cannot be read because the pack is not what was written. */
  readonly onDamage: (work: Work, error: unknown) => Promise<void>
  readonly width: number
  /** Called when nothing is left to be asked for, though answers may still come. May be called again. */
  readonly onAllRequested?: (() => void) | undefined
  readonly signal?: AbortSignal | undefined
}

/** One request brings about so much: large enough for the latency not to count, small enough to share among requests. */
const GROUP_BYTES = 8 * 1024 * 1024
/** Nearer than this, another frame is worth reading over what lies between. */
const MAX_GAP_BYTES = 256 * 1024
/** Enough for a store that delivers faster than frames are worked on; more requests would only take memory. */
const FIRST_REQUESTS = 2
/** For a store that does not. */
const MAX_REQUESTS = 4
/** On a network each request waits for its answer first: then as many as bring so much, within these numbers. */
const FIRST_REMOTE_BYTES = 32 * 1024 * 1024
const FEWEST_FIRST_REMOTE_REQUESTS = 4
const MOST_FIRST_REMOTE_REQUESTS = 12
const MAX_REMOTE_REQUESTS = 8

/**
 * Reads frames in the order in which they lie in their packs, neighbours together, by a few requests at once. Whatever
 * ends it, no `onFrame` is running afterwards.
 */
export async function fetchFrames<Work extends FrameWork>(
  repository: Repository,
  options: FetchFramesOptions<Work>,
): Promise<void> {
  const { onDamage, signal } = options
  const groups = groupWork(options.work)
  const isRemote = repository.store.capabilities.remote === true
  const firstRequests = isRemote ? countFirstRemote(groups) : FIRST_REQUESTS
  const maxRequests = isRemote ? MAX_REMOTE_REQUESTS : MAX_REQUESTS
  const gate = createGate(options.width)
  const running = new Set<Promise<void>>()
  let failure: { readonly error: unknown } | null = null
  const start = async (work: Work, stored: Uint8Array): Promise<void> => {
    await gate.enter()
    const done = options
      .onFrame(work, stored)
      .catch((error: unknown) => {
        failure ??= { error }
      })
      .finally(() => {
        running.delete(done)
        gate.leave()
      })
    running.add(done)
  }
  const check = (): void => {
    signal?.throwIfAborted()
    if (failure !== null) throw failure.error
  }

  async function readAlone(work: Work): Promise<void> {
    try {
      for await (const { stored } of readStoredFrames(repository, work.pack, [work.frame], signal)) {
        await start(work, stored)
      }
    } catch (error) {
      if (!WorkspaceError.is(error, 'CORRUPT')) throw error
      await onDamage(work, error)
    }
  }

  async function readGroup(group: readonly Work[]): Promise<void> {
    const first = group[0]
    if (first === undefined) return
    const missing = new Map(group.map((work) => [work.frame, work]))
    try {
      const frames = readStoredFrames(repository, first.pack, [...missing.keys()], signal)
      for await (const { frame, stored } of frames) {
        check()
        const work = missing.get(frame)
        missing.delete(frame)
        if (work !== undefined) await start(work, stored)
      }
    } catch (error) {
      if (!WorkspaceError.is(error, 'CORRUPT')) throw error
    }
    // Where a request failed in the middle, each frame that it did not bring gets one of its own.
    for (const work of missing.values()) {
      check()
      await readAlone(work)
    }
  }

  const drains: Promise<void>[] = []
  const drain = async (): Promise<void> => {
    for (let group = groups.shift(); group !== undefined; group = groups.shift()) {
      check()
      if (groups.length === 0) options.onAllRequested?.()
      await readGroup(group).catch((error: unknown) => {
        failure ??= { error }
      })
      if (gate.isOpen() && drains.length < maxRequests && groups.length > 0) drains.push(drain())
    }
  }
  for (let request = 0; request < firstRequests; request += 1) drains.push(drain())
  const outcomes: PromiseSettledResult<void>[] = []
  // One may begin another before it ends.
  for (const each of drains) outcomes.push(...(await Promise.allSettled([each])))
  await Promise.all(running)
  check()
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason
}

export interface FetchTwiceOptions<Work extends FrameWork> extends Omit<
  FetchFramesOptions<Work>,
  'onFrame' | 'onDamage'
> {
  /** As there; tells of what of a frame is damaged, or all of it. */
  readonly onFrame: (
    work: Work,
    stored: Uint8Array,
    onDamage: (left: Work, error: unknown) => void,
  ) => Promise<void>
  /** Takes what is damaged in both reads. */
  readonly onDamage: (work: Work, error: unknown) => void
  /** Takes what was damaged in the first read only. */
  readonly onTransient?: ((work: Work, error: unknown) => void) | undefined
}

/** Damage may have happened on the way, so what is damaged is read once more. */
export async function fetchFramesTwice<Work extends FrameWork>(
  repository: Repository,
  options: FetchTwiceOptions<Work>,
): Promise<void> {
  const pass = (
    work: readonly Work[],
    onDamage: (left: Work, error: unknown) => void,
    onAllRequested?: () => void,
  ): Promise<void> =>
    fetchFrames(repository, {
      work,
      width: options.width,
      signal: options.signal,
      onAllRequested,
      onFrame: (each, stored) => options.onFrame(each, stored, onDamage),
      onDamage: async (each, error) => onDamage(each, error),
    })
  const again = new Map<Work, unknown>()
  await pass(options.work, (left, error) => void again.set(left, error), options.onAllRequested)
  if (again.size === 0) return
  const stillDamaged = new Set<string>()
  const nameOf = ({ pack, frame }: Work): string => `${pack.packId} ${frame}`
  await pass([...again.keys()], (left, error) => {
    stillDamaged.add(nameOf(left))
    options.onDamage(left, error)
  })
  for (const [work, error] of again) if (!stillDamaged.has(nameOf(work))) options.onTransient?.(work, error)
}

function countFirstRemote(groups: readonly (readonly FrameWork[])[]): number {
  let bytes = 0
  let count = 0
  for (; count < MOST_FIRST_REMOTE_REQUESTS; count += 1) {
    for (const { pack, frame } of groups[count] ?? []) bytes += pack.frames[frame]?.storedBytes ?? 0
    if (bytes > FIRST_REMOTE_BYTES) break
  }
  return Math.max(count, FEWEST_FIRST_REMOTE_REQUESTS)
}

function groupWork<Work extends FrameWork>(work: readonly Work[]): Work[][] {
  const sorted = [...work].sort((left, right) => {
    if (left.pack !== right.pack) return left.pack.packId < right.pack.packId ? -1 : 1
    return left.frame - right.frame
  })
  const groups: Work[][] = []
  let pack: PackIndex | null = null
  let bytes = 0
  let end = 0
  for (const each of sorted) {
    const { offset = 0, storedBytes = 0 } = each.pack.frames[each.frame] ?? {}
    const group = groups.at(-1)
    const isNear = each.pack === pack && offset - end <= MAX_GAP_BYTES
    if (group === undefined || !isNear || bytes + storedBytes > GROUP_BYTES) {
      groups.push([each])
      bytes = 0
    } else group.push(each)
    pack = each.pack
    bytes += storedBytes
    end = offset + storedBytes
  }
  return groups
}

function createGate(width: number): { enter(): Promise<void>; leave(): void; isOpen(): boolean } {
  let free = width
  const waiting: (() => void)[] = []
  return {
    async enter() {
      if (free > 0) free -= 1
      else await new Promise<void>((resolve) => waiting.push(resolve))
    },
    isOpen: () => free > 0,
    leave() {
      const next = waiting.shift()
      if (next === undefined) free += 1
      else next()
    },
  }
}
