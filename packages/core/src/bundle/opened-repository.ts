import { WorkspaceError } from '../errors.ts'
import type { ObjectStore } from '../store/object-store.ts'
import {
  assumeRepository,
  findRepository,
  isReplaced,
  openRepository,
  proposeRepository,
  RepositoryReplaced,
  type OpenRepositoryOptions,
  type Repository,
} from './engine/repository/repository.ts'
import type { FormatMarker } from './format/format-marker.ts'

/** The repository of a store, which is opened once and then kept. */
export interface OpenedRepository {
  /** `null` until it is opened. */
  readonly current: () => Repository | null
  readonly open: (
    signal: AbortSignal | undefined,
    given?: Pick<OpenRepositoryOptions, 'assumed' | 'proposed'>,
  ) => Promise<Repository>
  /** `null` for a store that nothing was saved to. */
  readonly find: (signal: AbortSignal | undefined) => Promise<Repository | null>
  /** `null` when the key does not go with the marker: then the store is asked, and says what is wrong. */
  readonly assume: (marker: FormatMarker) => Promise<Repository | null>
  readonly propose: () => Promise<Repository | null>
  /** Does it once more where somebody has emptied the store and begun anew since it was opened. */
  readonly inCurrent: <T>(signal: AbortSignal | undefined, use: () => Promise<T>) => Promise<T>
  /** The same for items that are listed: until the first one is there. */
  readonly listInCurrent: <T>(
    signal: AbortSignal | undefined,
    list: () => AsyncIterable<T>,
  ) => AsyncGenerator<T, void, undefined>
}

export function keepOpened(
  store: ObjectStore,
  options: Pick<OpenRepositoryOptions, 'prefix' | 'encryption'>,
): OpenedRepository {
  let opened: Repository | null = null
  const kept: OpenedRepository = {
    current: () => opened,
    async open(signal, given = {}) {
      opened ??= await openRepository(store, { ...given, ...options, signal })
      return opened
    },
    async find(signal) {
      opened ??= await findRepository(store, { ...options, signal })
      return opened
    },
    assume: (marker) => assumeRepository(store, marker, options).catch(() => null),
    propose: () => proposeRepository(store, options),
    async inCurrent(signal, use) {
      const known = opened
      try {
        return await use()
      } catch (error) {
        if (known === null || !(await isOutdated(known, error, signal))) throw error
        if (opened === known) opened = null
        return use()
      }
    },
    async *listInCurrent(signal, list) {
      const [items, first] = await kept.inCurrent(signal, async () => {
        const begun = list()[Symbol.asyncIterator]()
        return [begun, await begun.next()] as const
      })
      try {
        for (let next = first; next.done !== true; next = await items.next()) yield next.value
      } finally {
        await items.return?.()
      }
    },
  }
  return kept
}

/** What was sealed with the keys of another repository looks like damage. */
async function isOutdated(
  known: Repository,
  error: unknown,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  if (WorkspaceError.is(error, 'CORRUPT')) return isReplaced(known, signal).catch(() => false)
  return error instanceof RepositoryReplaced
}
