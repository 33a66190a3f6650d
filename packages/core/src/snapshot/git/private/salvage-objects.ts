import { WorkspaceError } from '../../../errors.ts'
import { streamGit } from './git-command.ts'
import {
  alternateEnvironment,
  objectId,
  privateCall,
  writeObject,
  type ObjectType,
  type PrivateRepository,
} from './private-repository.ts'

/** A larger object is not read into memory for this. */
const MAX_OBJECT_BYTES = 512 * 1024 * 1024

/**
 * Stores objects anew that can still be read, each checked against its id, from places that are known to be damaged.
 * @param places object directories
 * @returns those that were saved
 */
export async function salvageObjects(
  own: PrivateRepository,
  ids: ReadonlySet<string>,
  places: readonly string[],
  signal: AbortSignal | undefined,
): Promise<Set<string>> {
  const saved = new Set<string>()
  const left = [...ids]
  while (left.length > 0) {
    const wanted = left.splice(0, 10_000)
    // git gives up at the first object that it cannot read: then it is asked again for those after it.
    for (let at = 0; at < wanted.length;)
      at += await salvageUntilDamage(own, wanted.slice(at), places, { saved, signal })
  }
  return saved
}

/** @returns how many were dealt with, the one that could not be read included */
async function salvageUntilDamage(
  own: PrivateRepository,
  ids: readonly string[],
  places: readonly string[],
  { saved, signal }: { readonly saved: Set<string>; readonly signal: AbortSignal | undefined },
): Promise<number> {
  const environment = alternateEnvironment(places)
  const input = Buffer.from(`${ids.join('\n')}\n`)
  const source = streamGit(privateCall(own, ['cat-file', '--batch'], { input, environment, signal }))
  let rest: Buffer = Buffer.alloc(0)
  let done = 0
  try {
    for await (const chunk of source) {
      rest = rest.length === 0 ? Buffer.from(chunk) : Buffer.concat([rest, chunk])
      for (;;) {
        const end = rest.indexOf(10)
        if (end === -1) break
        const [id = '', type = '', text] = rest.toString('latin1', 0, end).split(' ')
        const size = Number(text ?? Number.NaN)
        if (Number.isNaN(size)) {
          rest = rest.subarray(end + 1)
          done += 1
          continue
        }
        if (size > MAX_OBJECT_BYTES) return done + 1
        if (rest.length < end + 1 + size + 1) break
        const content = rest.subarray(end + 1, end + 1 + size)
        if (
          (type === 'blob' || type === 'tree') &&
          objectId(own, type satisfies ObjectType, content) === id
        ) {
          writeObject(own, type, id, content)
          saved.add(id)
        }
        rest = rest.subarray(end + 1 + size + 1)
        done += 1
      }
    }
    return ids.length
  } catch (error) {
    signal?.throwIfAborted()
    if (!WorkspaceError.is(error, 'UNAVAILABLE')) throw error
    return done + 1
  } finally {
    await source.return()
  }
}
