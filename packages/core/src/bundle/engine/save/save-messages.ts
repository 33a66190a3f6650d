import type { PackReference } from '../../format/version-record.ts'
import type { ThreadFailure } from '../../thread-failure.ts'
import type { KnownTree } from '../known/known-tree.ts'
import type { ParentRequest, SaveJob } from './save-state.ts'
import type { SavedTree, SaveProgress } from './saved-tree.ts'

/** `stop` is a shared number: not 0 when the save is to end. */
export type ToSaveWorker =
  | {
      readonly kind: 'save'
      readonly save: number
      readonly job: SaveJob
      readonly cacheDirectory: string | null
      readonly repositoryId: string
      readonly stop: Int32Array
      /** For full packs: what it puts is read from there, not handed over. */
      readonly packMemory: readonly SharedArrayBuffer[]
    }
  | ({ readonly kind: 'answer'; readonly save: number; readonly hasFailed: boolean } & SaveAnswer)

export interface SaveAnswer {
  /** Of a `read-parent`. */
  readonly tree: KnownTree | null
  /** Of a `put`: what may be used again. */
  readonly memory: ArrayBufferLike | null
}

export type FromSaveWorker = { readonly save: number } & (
  | { readonly kind: 'put'; readonly reference: PackReference; readonly bytes: Uint8Array }
  | { readonly kind: 'read-parent'; readonly request: ParentRequest }
  | { readonly kind: 'progress'; readonly progress: SaveProgress }
  | { readonly kind: 'done'; readonly saved: SavedTree }
  | { readonly kind: 'failed'; readonly failure: ThreadFailure }
)
