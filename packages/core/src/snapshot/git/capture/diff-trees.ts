import { Buffer } from 'node:buffer'
import { splitRecords, type BytePath } from '../../byte-path.ts'
import { streamGit } from '../private/git-command.ts'
import { privateCall, type PrivateRepository } from '../private/private-repository.ts'
import { filterPatch, quoteNames } from './filter-patch.ts'

/** What a result embeds by default; a longer one is read when it is asked for. */
const MAX_PATCH_BYTES = 1_048_576
const SEPARATOR = Buffer.from([0, 0])

const patchArguments =
  '-r -p --binary --full-index --no-renames --no-ext-diff --no-textconv --no-color --src-prefix=a/ --dst-prefix=b/'.split(
    ' ',
  )

export interface TreeDiff {
  /** Of `--raw` two for each path, then of `--numstat` one for each. */
  readonly records: readonly string[]
  /** The whole patch; `null` for a long one. */
  readonly patch: Buffer | null
}

/** What differs between two trees, and the patch with it: a start of git takes as long as the rest of a small diff. */
export async function diffTrees(
  own: PrivateRepository,
  from: string,
  to: string,
  signal?: AbortSignal,
): Promise<TreeDiff> {
  const args = ['diff-tree', '-z', '--raw', '--numstat', ...patchArguments, from, to]
  const chunks: Uint8Array[] = []
  let bytes = 0
  let patchStart: number | null = null
  let isWhole = true
  for await (const chunk of streamGit(privateCall(own, args, { signal }))) {
    const end: number | null = patchStart === null ? endOfRecords(chunk, chunks.at(-1)?.at(-1)) : null
    if (end !== null) patchStart = bytes + end
    chunks.push(chunk)
    bytes += chunk.length
    isWhole = patchStart === null || bytes - patchStart <= MAX_PATCH_BYTES
    if (!isWhole) break
  }
  const output = Buffer.concat(chunks)
  const records = splitRecords(output.subarray(0, patchStart ?? bytes))
  return { records, patch: isWhole ? quoteNames(output.subarray(patchStart ?? bytes)) : null }
}

/** The patch alone, of any length. @param leftOut files of which nothing is in it */
export function streamTreePatch(
  own: PrivateRepository,
  from: string,
  to: string,
  leftOut: ReadonlySet<BytePath>,
  signal?: AbortSignal,
): AsyncIterable<Uint8Array> {
  const args = ['diff-tree', ...patchArguments, from, to]
  return filterPatch(streamGit(privateCall(own, args, { signal })), leftOut)
}

/** They end with an empty one, which no path is. @returns `null` where that is not in the chunk */
function endOfRecords(chunk: Uint8Array, byteBefore: number | undefined): number | null {
  if (byteBefore === 0 && chunk[0] === 0) return 1
  const at = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length).indexOf(SEPARATOR)
  return at === -1 ? null : at + SEPARATOR.length
}
