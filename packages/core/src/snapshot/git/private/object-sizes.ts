import { runGit, streamGit } from './git-command.ts'
import { alternateEnvironment, privateCall, type PrivateRepository } from './private-repository.ts'
import { objectSizeReader } from './read-object-size.ts'
import { idBytesOf } from './object-format.ts'

export interface SizeOptions {
  /** Object directory that counts besides. @default none */
  readonly alternate?: string | undefined
  readonly signal?: AbortSignal | undefined
}

/** Reading so many one by one takes no longer than to start a git. */
const FEW = 100
const NEWLINE = 10
const SPACE = 32
const ZERO = 48
const HEX_DIGITS = '0123456789abcdef'

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

/**
 * Sizes of objects by their ids, one after the other in bytes; also of those that an alternate has.
 * @returns -1 for what is in neither
 */
export async function sizesOfIds(
  repository: PrivateRepository,
  ids: Uint8Array,
  { alternate, signal }: SizeOptions,
): Promise<Float64Array> {
  const idBytes = idBytesOf(repository.format)
  const sizes = new Float64Array(ids.length / idBytes).fill(-1)
  if (sizes.length === 0) return sizes
  const call = privateCall(repository, ['cat-file', '--batch-check=%(objectsize)', '--buffer'], {
    input: toLines(ids, idBytes),
    signal,
    environment: alternateEnvironment(alternate),
  })
  let [row, digits, value] = [0, 0, 0]
  for await (const chunk of streamGit(call)) {
    for (const byte of chunk) {
      if (byte === NEWLINE) {
        if (digits > 0 && value >= 0) sizes[row] = value
        row += 1
        digits = value = 0
      } else if (byte === SPACE) {
        // `<id> missing`
        value = -Infinity
      } else {
        value = value * 10 + byte - ZERO
        digits += 1
      }
    }
  }
  return sizes
}

function toLines(ids: Uint8Array, idBytes: number): Buffer {
  const lines = Buffer.allocUnsafe((ids.length / idBytes) * (2 * idBytes + 1))
  let to = 0
  for (let from = 0; from < ids.length; from += 1) {
    const byte = ids[from] ?? 0
    lines[to++] = HEX_DIGITS.charCodeAt(byte >> 4)
    lines[to++] = HEX_DIGITS.charCodeAt(byte & 15)
    if ((from + 1) % idBytes === 0) lines[to++] = NEWLINE
  }
  return lines
}
