import { buildAllTrees } from '../private/build-all-trees.ts'
import type { BuiltTrees } from '../private/build-trees.ts'
import { modeOfRow } from '../table/index-rows.ts'
import type { LinkedBlobs } from '../user/link-indexed.ts'
import type { PrivateRepository } from '../private/private-repository.ts'
import type { TrackedFiles } from '../user/tracked-files.ts'

/** What a first capture does while threads look at the files, for the case that the index is right. */
export interface DoneAhead extends Pick<LinkedBlobs, 'held'> {
  /** The ids in the index, one after the other. */
  readonly ids: Uint8Array
  /** Of the index as it is, with the modes that it says. */
  readonly trees: BuiltTrees
}

/** @param ids those in the index, one after the other */
export function doAhead(
  own: PrivateRepository,
  { rows, paths }: NonNullable<TrackedFiles['ofIndex']>,
  ids: Uint8Array,
  { held }: LinkedBlobs,
): DoneAhead {
  const trees = buildAllTrees(own, { paths, names: rows, ids, modeAt: (row) => modeOfRow(rows, row) })
  return { ids, held, trees }
}
