import { runGit } from './git-command.ts'
import { privateCall, type PrivateRepository } from './private-repository.ts'

/**
 * Finds what trees need, one after the other: for each tree, the objects that none before it needed. The first one is
 * walked; of the others only what differs from the one before is looked at, so that a thousand snapshots cost little
 * more than one.
 * @throws `UNAVAILABLE` when a tree cannot be read: nobody knows then what is needed
 */
export async function markObjects(
  own: PrivateRepository,
  trees: readonly string[],
  signal: AbortSignal | undefined,
): Promise<{ readonly all: Set<string>; readonly added: ReadonlyMap<string, readonly string[]> }> {
  const added = new Map<string, readonly string[]>()
  const all = new Set<string>()
  const [first] = trees
  if (first === undefined) return { all, added }
  const walk = privateCall(own, ['rev-list', '--objects', '--no-object-names', first], { signal })
  for (const id of (await runGit(walk)).toString('latin1').split('\n')) if (id !== '') all.add(id)
  added.set(first, [...all])
  const different = [...new Set(trees)]
  for (const [tree, ids] of await differences(own, different, signal)) {
    const fresh = ids.filter((id) => !all.has(id))
    for (const id of fresh) all.add(id)
    added.set(tree, fresh)
  }
  return { all, added }
}

/** The objects of trees that a first one, which has been marked, does not have. */
export async function objectsBeyond(
  own: PrivateRepository,
  marked: string | null,
  trees: readonly string[],
  signal: AbortSignal | undefined,
): Promise<readonly string[]> {
  if (marked === null) return [...(await markObjects(own, trees, signal)).all]
  const found = await differences(own, [...new Set([marked, ...trees])], signal)
  return [...found.values()].flat()
}

/** What each tree but the first has that the one before it has not, at the same place. */
async function differences(
  own: PrivateRepository,
  trees: readonly string[],
  signal: AbortSignal | undefined,
): Promise<ReadonlyMap<string, readonly string[]>> {
  const found = new Map<string, string[]>()
  if (trees.length < 2) return found
  const pairs = trees.slice(1).map((tree, index) => `${trees[index]} ${tree}\n`)
  const call = privateCall(own, ['diff-tree', '--stdin', '-r', '-t', '-z', '--raw', '--no-renames'], {
    input: Buffer.from(pairs.join('')),
    signal,
  })
  const records = (await runGit(call)).toString('latin1').split('\0')
  let ids: string[] = []
  for (let at = 0; at < records.length; at += 2) {
    let record = records[at] ?? ''
    // A line with its two trees stands before the differences of a pair, also when there are none.
    for (let pair = headerOf(record); pair !== null; pair = headerOf(record)) {
      ids = [pair.tree]
      found.set(pair.tree, ids)
      record = record.slice(pair.length)
    }
    const [, , , id, status] = record.split(' ')
    if (id !== undefined && status !== 'D') ids.push(id)
  }
  return found
}

function headerOf(record: string): { readonly tree: string; readonly length: number } | null {
  const header = /^[0-9a-f]+ ([0-9a-f]+)\n/.exec(record)
  return header === null ? null : { tree: header[1] ?? '', length: header[0].length }
}
