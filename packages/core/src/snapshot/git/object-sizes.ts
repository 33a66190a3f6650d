import { runGit } from './git-command.ts'
import { alternateEnvironment, privateCall, type PrivateRepository } from './private-repository.ts'
import { objectSizeReader } from './read-object-size.ts'

export interface SizeOptions {
  /** Object directory that counts besides. @default none */
  readonly alternate?: string | undefined
  readonly signal?: AbortSignal | undefined
}

/** Reading so many one by one takes no longer than to start a git. */
const FEW = 100

/** Sizes of the objects that the private repository holds itself. */
export async function objectSizes(
  repository: PrivateRepository,
  ids: Iterable<string>,
  { alternate, signal }: SizeOptions = {},
): Promise<Map<string, number>> {
  const asked = [...ids]
  const sizes = new Map<string, number>()
  if (asked.length <= FEW && alternate === undefined) {
    const sizeOf = objectSizeReader(repository)
    for (const id of asked) {
      const size = sizeOf(id)
      if (size !== null) sizes.set(id, size)
    }
  }
  const left = asked.filter((id) => !sizes.has(id))
  if (left.length === 0) return sizes
  const output = await runGit(
    privateCall(repository, ['cat-file', '--batch-check=%(objectsize)', '--buffer'], {
      input: Buffer.from(`${left.join('\n')}\n`, 'latin1'),
      signal,
      environment: alternateEnvironment(alternate),
    }),
  )
  // One line for each, in order; `<id> missing` is no number.
  const lines = output.toString('latin1').split('\n')
  for (const [row, id] of left.entries()) {
    const size = Number(lines[row] === '' ? undefined : lines[row])
    if (size >= 0) sizes.set(id, size)
  }
  return sizes
}
