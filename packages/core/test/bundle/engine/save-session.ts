import { memoryStore } from '@ws/store-memory'
import {
  openRepository,
  type Repository,
  type RepositoryEncryption,
} from '../../../src/bundle/engine/repository/repository.ts'
import { saveDirectory, type SaveDirectoryOptions } from '../../../src/bundle/engine/save/save-directory.ts'
import type { SavedTree } from '../../../src/bundle/engine/save/saved-tree.ts'
import type { VersionRecord } from '../../../src/bundle/format/version-record.ts'
import { bindStore } from '../../../src/store/bind-store.ts'
import type { ObjectStore } from '../../../src/store/object-store.ts'

/** Saves of one directory, each on top of the one before. */
export interface SaveSession {
  readonly repository: Repository
  readonly calls: StoreCalls
  save(options?: Partial<SaveDirectoryOptions>): Promise<SavedTree>
}

export interface StoreCalls {
  put: number
  get: number
  list: number
  head: number
  putBytes: number
}

export async function startSaving(
  directory: string,
  cacheDirectory: string | null,
  options: { store?: ObjectStore; encryption?: RepositoryEncryption } = {},
): Promise<SaveSession> {
  const calls: StoreCalls = { put: 0, get: 0, list: 0, head: 0, putBytes: 0 }
  const repository = await openRepository(countCalls(options.store ?? memoryStore(), calls), {
    encryption: options.encryption,
  })
  reset(calls)
  let parent: VersionRecord | null = null
  let version = 0
  return {
    repository,
    calls,
    async save(changes = {}) {
      reset(calls)
      const tree = await saveDirectory(repository, {
        workspaceId: 'work',
        directory,
        parent,
        cacheDirectory,
        ...changes,
      })
      version += 1
      parent = recordOf(tree, version)
      return tree
    },
  }
}

export function recordOf(tree: SavedTree, version: number): VersionRecord {
  return {
    format: 1,
    workspaceId: 'work',
    version,
    parent: version > 1 ? { workspaceId: 'work', version: version - 1 } : null,
    nonce: '0'.repeat(32),
    message: '',
    author: null,
    metadata: {},
    tags: [],
    createdAt: '2026-01-01T00:00:00.000Z',
    template: false,
    root: tree.root,
    packs: tree.packs,
    stats: tree.stats,
  }
}

function reset(calls: StoreCalls): void {
  Object.assign(calls, { put: 0, get: 0, list: 0, head: 0, putBytes: 0 })
}

function countCalls(store: ObjectStore, calls: StoreCalls): ObjectStore {
  return {
    ...bindStore(store),
    get(key, options) {
      calls.get += 1
      return store.get(key, options)
    },
    head(key, options) {
      calls.head += 1
      return store.head(key, options)
    },
    put(key, body, options) {
      calls.put += 1
      if (body instanceof Uint8Array) calls.putBytes += body.length
      return store.put(key, body, options)
    },
    list(prefix, options) {
      calls.list += 1
      return store.list(prefix, options)
    },
  }
}
