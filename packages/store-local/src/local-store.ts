import { join, resolve } from 'node:path'
import {
  assertKnownOptions,
  type OptionNames,
  defineStore,
  isFlag,
  isOneOf,
  WorkspaceError,
  type ObjectBody,
  type DirectoryStore,
} from '@ws/core'
import { toStoreError } from './file-error.ts'
import { sweepLocks } from './key-lock.ts'
import { keyToNames } from './key-path.ts'
import { listObjects } from './list-objects.ts'
import { readInfoAt } from './object-file.ts'
import { openObject } from './open-object.ts'
import { deleteObject, putObject } from './put-object.ts'
import {
  assertRootExists,
  checkFolders,
  hasFolders,
  openFolders,
  openRoot,
  type StoreFolders,
} from './store-folders.ts'

export interface LocalStoreOptions {
  /** The directory that holds the objects. It belongs to the store alone; a relative path is taken from here and now. */
  readonly root: string
  /** Make the root when it does not exist; else using the store rejects with `NOT_FOUND`. @default true */
  readonly create?: boolean | undefined
  /**
   * `fsync`: what a put or delete has reported done survives a power cut. `none`: it survives the death of the process,
   * but not of the machine; several times faster for small objects.
   * @default 'fsync'
   */
  readonly durability?: 'fsync' | 'none' | undefined
}

const localStoreOptionNames: OptionNames<LocalStoreOptions> = {
  root: (value) =>
    typeof value === 'string' && /^(?![a-z][a-z0-9+.-]+:\/\/|~(?:\/|$))[^\0]+$/is.test(value)
      ? null
      : 'the path of a directory; one that begins with "~" is written out',
  create: isFlag,
  durability: isOneOf('fsync', 'none'),
}

/** One for each root and process: the id in it names the process in locks and temporary files. */
const openedFolders = new Map<string, StoreFolders>()

/**
 * A store that keeps each object as one file below a directory, for one machine.
 *
 * - A put is atomic also across `kill -9` and, with `fsync`, across power cuts; what a dead process left unfinished is
 *   removed by the first put or delete of the next.
 * - `ifAbsent` and `ifMatch` are atomic between all threads and processes of the machine, also when some are killed in
 *   the middle. (Holders of a lock in another container's process namespace are judged dead after 60 s of silence.)
 * - Whole reads are checked against a CRC-32. A damaged object rejects with `CORRUPT`.
 * - Links and other things planted below the root are never followed or read, and nothing outside is touched.
 * - Files that the store did not make are ignored.
 *
 * File systems need hard links; those shared by several machines are not supported.
 *
 * Using the store rejects with `INVALID_INPUT` when the root is not a directory, `ACCESS_DENIED` without permission,
 * `QUOTA_EXCEEDED` on a full disk, `UNAVAILABLE` when the device fails or the root vanishes, `UNSAFE_PATH` for a
 * planted link, and `BUSY` when a process that is stopped keeps an object's lock for half a minute.
 */
export function localStore(options: LocalStoreOptions): DirectoryStore {
  assertOptions(options)
  const { create = true } = options
  const sync = options.durability !== 'none'
  const givenRoot = resolve(options.root)
  let knownRoot: string | undefined

  const root = (): string => (knownRoot ??= openRoot(givenRoot, create))
  const folders = (): StoreFolders => {
    const known = openedFolders.get(root())
    if (known !== undefined && hasFolders(known)) return known
    if (known !== undefined) assertRootExists(known.root)
    const opened = openFolders(root())
    openedFolders.set(opened.root, opened)
    sweepLocks(opened)
    return opened
  }
  /** The path of an existing object's file, or `null` when not even its folder exists. */
  const find = (key: string): string | null => findFile(root(), key)
  const orAbsent = <T>(found: T | null): T | null => {
    if (found === null) assertRootExists(root())
    return found
  }

  const store = defineStore({
    name: 'local',
    capabilities: {
      createIfAbsent: 'atomic',
      replaceIfMatch: 'atomic',
      rangeReads: true,
      metadata: true,
      signedUrls: false,
    },

    get: (key, getOptions) =>
      translating(givenRoot, 'read', key, () => {
        const path = find(key)
        return orAbsent(path === null ? null : openObject(key, path, getOptions))
      }),

    head: (key) =>
      translating(givenRoot, 'read', key, () => {
        const path = find(key)
        return orAbsent(path === null ? null : readInfoAt(key, path))
      }),

    put(key, body, putOptions) {
      const source = observeFailure(body)
      const put = () => putObject(folders(), key, source.body, putOptions, sync)
      return translating(givenRoot, 'put', key, put, source.hasThrown)
    },

    delete: (key, { signal }) =>
      translating(givenRoot, 'delete', key, () => deleteObject(folders(), key, signal, sync)),

    async *list(prefix, { startAfter = '', signal }) {
      try {
        yield* listObjects(root(), { prefix, startAfter, signal })
        assertRootExists(root())
      } catch (error) {
        throw toStoreError(error, 'list', prefix, givenRoot)
      }
    },
  })
  return Object.assign(store, { directory: givenRoot })
}

function findFile(root: string, key: string): string | null {
  const names = keyToNames(key)
  return checkFolders(root, names.slice(0, -1), false) === null ? null : join(root, ...names)
}

function assertOptions(options: LocalStoreOptions): void {
  assertKnownOptions('localStore', options, localStoreOptionNames)
  if (options.root !== undefined) return
  throw new WorkspaceError(
    'INVALID_INPUT',
    "A local store needs the path of its directory: localStore({ root: './store' }).",
  )
}

async function translating<T>(
  root: string,
  action: string,
  key: string,
  call: () => T | Promise<T>,
  isForeign: (error: unknown) => boolean = () => false,
): Promise<T> {
  try {
    return await call()
  } catch (error) {
    throw isForeign(error) ? error : toStoreError(error, action, key, root)
  }
}

/** A source may read files itself: what it throws is not this store's error and comes out as it is. */
function observeFailure(body: ObjectBody): { body: ObjectBody; hasThrown: (error: unknown) => boolean } {
  if (body instanceof Uint8Array) return { body, hasThrown: () => false }
  const thrown: unknown[] = []
  const observed: AsyncIterable<Uint8Array> = {
    [Symbol.asyncIterator]() {
      const source = body[Symbol.asyncIterator]()
      return {
        async next() {
          try {
            return await source.next()
          } catch (error) {
            thrown.push(error)
            throw error
          }
        },
        async return() {
          await source.return?.()
          return { done: true, value: undefined }
        },
      }
    },
  }
  return { body: observed, hasThrown: (error) => thrown.includes(error) }
}
