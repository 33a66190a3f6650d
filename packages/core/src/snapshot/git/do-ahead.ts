import { buildAllTrees } from './build-all-trees.ts'
import type { BuiltTrees } from './build-trees.ts'
import { modeOfRow } from './index-rows.ts'
import { linkIndexed } from './link-indexed.ts'
import type { OwnObjects } from './own-objects.ts'
import type { PrivateRepository } from './private-repository.ts'
import type { UserRepository } from './repository-layout.ts'
import type { TrackedFiles } from './tracked-files.ts'

/** What a first capture does while threads look at the files, for the case that the index is right. */
export interface DoneAhead {
  /** The ids in the index, one after the other. */
  readonly ids: Uint8Array
  /** What the private repository has, at least. */
  readonly held: OwnObjects
  /** Whether all that the index names is among that. */
  readonly isAllHeld: boolean
  /** Of the index as it is, with the modes that it says. */
  readonly trees: BuiltTrees
}

/** @param ids those in the index, one after the other */
export function doAhead(
  own: PrivateRepository,
  user: UserRepository,
  { rows, paths }: NonNullable<TrackedFiles['ofIndex']>,
  ids: Uint8Array,
  useful: readonly string[],
): DoneAhead {
  const held = linkIndexed(own, user, ids, useful)
  const trees = buildAllTrees(own, { paths, names: rows, ids, modeAt: (row) => modeOfRow(rows, row) })
  return { ids, ...held, trees }
}
