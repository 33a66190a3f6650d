import { assertWorkspaceId } from '../bundle/workspace-id.ts'
import { WorkspaceError } from '../errors.ts'
import type { ObjectStore } from '../store/object-store.ts'
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

/** Keeps run records as JSON objects, `<prefix>runs/<workspace id>/<run id>.json`. @throws `CORRUPT` for one that is no JSON */
export function createRunRecordStore(
  store: ObjectStore,
  options: { readonly prefix?: string | undefined } = {},
): RunRecordStore {
  const { prefix = '' } = options
  const keyOf = (workspaceId: string, runId: string): string => {
    assertWorkspaceId(workspaceId)
    return `${prefix}runs/${workspaceId}/${encodeURIComponent(runId)}.json`
  }
  const read = async (key: string): Promise<StartedRunRecord | RunRecord | null> => {
    const object = await store.get(key)
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
      await store.put(keyOf(record.workspaceId, record.runId), bytes, {
        size: bytes.byteLength,
        contentType: 'application/json',
      })
    },
    get: (workspaceId, runId) => read(keyOf(workspaceId, runId)),
    async *list(workspaceId) {
      assertWorkspaceId(workspaceId)
      for await (const { key } of store.list(`${prefix}runs/${workspaceId}/`)) {
        const record = await read(key)
        if (record !== null) yield record
      }
    },
  }
}
