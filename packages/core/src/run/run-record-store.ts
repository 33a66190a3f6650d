import { assertWorkspaceId } from '../bundle/workspace-id.ts'
import { WorkspaceError } from '../errors.ts'
import { assertKnownOptions, type OptionNames } from '../known-options.ts'
import { isFalseOrObject } from '../option-checks.ts'
import { assertStore } from '../store/assert-store.ts'
import type { ObjectStore } from '../store/object-store.ts'
import { reliableIfRemote, type ReliableStoreOptions } from '../store/reliable-store.ts'
import { isStorePrefix, withStorePrefix } from '../store/store-options.ts'
import type { RunRecord } from './run-result.ts'

/** JSON-safe. A run that has begun; what `runOnce` stores before the agent starts. */
export interface StartedRunRecord {
  readonly runId: string
  readonly workspaceId: string
  readonly path: string
  readonly status: 'running'
  /** ISO 8601, UTC. */
  readonly startedAt: string
  readonly metadata: Readonly<Record<string, unknown>>
}

/** Where a host keeps its run records. `createRunRecordStore` makes one over any `ObjectStore`. */
export interface RunRecordStore {
  /** Stores or replaces the record of its run. */
  put(record: StartedRunRecord | RunRecord): Promise<void>
  /** `null` when there is none. */
  get(workspaceId: string, runId: string): Promise<StartedRunRecord | RunRecord | null>
  /** Every record of a workspace, in the order of run ids. */
  list(workspaceId: string): AsyncIterable<StartedRunRecord | RunRecord>
}

export interface RunRecordStoreOptions {
  /** What all records' keys in the store start with; a `/` follows. @default nothing */
  readonly prefix?: string | undefined
  /** The same as that of a bundle store. @default those of `reliableStore` */
  readonly reliability?: ReliableStoreOptions | false | undefined
}

const runRecordStoreOptionNames: OptionNames<RunRecordStoreOptions> = {
  prefix: isStorePrefix,
  reliability: isFalseOrObject,
}

/** Keeps run records as JSON objects, `runs/<workspace id>/<run id>.json`. @throws `CORRUPT` for one that is no JSON */
export function createRunRecordStore(
  store: ObjectStore,
  options: RunRecordStoreOptions = {},
): RunRecordStore {
  assertStore('createRunRecordStore', store)
  assertKnownOptions('createRunRecordStore', options, runRecordStoreOptionNames)
  const objects = withStorePrefix(reliableIfRemote(store, options.reliability), options.prefix)
  const keyOf = (workspaceId: string, runId: string): string => {
    assertWorkspaceId(workspaceId)
    return `runs/${workspaceId}/${encodeURIComponent(runId.toWellFormed())}.json`
  }
  const read = async (key: string): Promise<StartedRunRecord | RunRecord | null> => {
    const object = await objects.get(key)
    if (object === null) return null
    const chunks: Uint8Array[] = []
    for await (const chunk of object.body) chunks.push(chunk)
    try {
      return JSON.parse(Buffer.concat(chunks).toString('utf8')) as StartedRunRecord | RunRecord
    } catch (cause) {
      throw new WorkspaceError(
        'CORRUPT',
        `The run record ${key} is not JSON. Delete it or restore it from a copy.`,
        {
          cause,
          details: { key },
        },
      )
    }
  }
  return {
    async put(record) {
      const bytes = Buffer.from(JSON.stringify(record))
      await objects.put(keyOf(record.workspaceId, record.runId), bytes, {
        size: bytes.byteLength,
        contentType: 'application/json',
      })
    },
    get: (workspaceId, runId) => read(keyOf(workspaceId, runId)),
    async *list(workspaceId) {
      assertWorkspaceId(workspaceId)
      for await (const { key } of objects.list(`runs/${workspaceId}/`)) {
        const record = await read(key)
        if (record !== null) yield record
      }
    },
  }
}
