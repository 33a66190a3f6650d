import type { BytePath } from '../../byte-path.ts'

/** Whether the captured tree differs from HEAD's. */
export interface Dirtiness {
  /** The pair for which that was found. */
  readonly key: string
  readonly value: boolean
  readonly witness: Witness | null
}

/** A file that makes it differ, and HEAD's blob for it; empty where HEAD has none. */
export interface Witness {
  readonly path: BytePath
  readonly id: string
}
