import { createHash } from 'node:crypto'
import { createReadStream, mkdirSync, readFileSync, utimesSync } from 'node:fs'
import { join } from 'node:path'
import { StringDecoder } from 'node:string_decoder'
import zlib from 'node:zlib'
import { WorkspaceError } from '../../errors.ts'
import { replaceFile } from './replace-file.ts'

export const MANIFEST_ENDING = '.manifest.zst'
/** Manifests of which this thread knows that the file is whole. */
const proven = new Set<string>()

/**
 * Stores a manifest under its ref. One that is there already is kept when it proves whole, else replaced, so that damage
 * does not outlive the next capture of the same state.
 */
export function storeManifest(directory: string, ref: string, serialize: () => readonly Buffer[]): void {
  const path = manifestPath(directory, ref)
  if (!touch(path)) proven.delete(path)
  else if (proven.has(path) || provesWhole(path, ref)) {
    proven.add(path)
    return
  }
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  const compressed = zlib.zstdCompressSync(Buffer.concat(serialize()), {
    params: { [zlib.constants.ZSTD_c_compressionLevel]: 1 },
  })
  replaceFile(path, compressed)
  proven.add(path)
}

/**
 * A manifest's lines, in batches, without its line ends. What has been yielded is proven only once the end is reached.
 * @throws `NOT_FOUND` when it is gone, `CORRUPT` when its bytes do not give its ref.
 */
export async function* readManifestLines(
  directory: string,
  ref: string,
  signal: AbortSignal | undefined,
): AsyncGenerator<string[]> {
  const file = createReadStream(manifestPath(directory, ref))
  const plain = zlib.createZstdDecompress()
  file.on('error', (error) => plain.destroy(error)).pipe(plain)
  const digest = createHash('sha256')
  const decoder = new StringDecoder('utf8')
  let rest = ''
  try {
    for await (const chunk of plain as AsyncIterable<Buffer>) {
      signal?.throwIfAborted()
      digest.update(chunk)
      const lines = (rest + decoder.write(chunk)).split('\n')
      rest = lines.pop() ?? ''
      yield lines
    }
  } catch (error) {
    signal?.throwIfAborted()
    throw readingFailed(error, ref)
  } finally {
    plain.destroy()
    file.destroy()
  }
  if (rest !== '' || digest.digest('hex') !== ref) throw damaged(ref)
}

/** @param cause what decoding or parsing threw */
export function damaged(ref: string, cause?: unknown): WorkspaceError {
  return new WorkspaceError(
    'CORRUPT',
    `The stored manifest of the hash snapshot ${ref.slice(0, 12)} is damaged. Take a new snapshot.`,
    { cause, details: { ref } },
  )
}

function readingFailed(error: unknown, ref: string): unknown {
  const code = (error as NodeJS.ErrnoException).code
  if (WorkspaceError.is(error)) return error
  if (code === 'ENOENT') {
    return new WorkspaceError(
      'NOT_FOUND',
      `The manifest of the hash snapshot ${ref.slice(0, 12)} is not in the state directory (any more): it made room for newer ones, or was taken with another state directory. Take a new snapshot.`,
      { cause: error, details: { ref } },
    )
  }
  if (code === 'EACCES' || code === 'EPERM') {
    return new WorkspaceError(
      'ACCESS_DENIED',
      `The manifest of the hash snapshot ${ref.slice(0, 12)} may not be read.`,
      {
        cause: error,
        details: { ref },
      },
    )
  }
  return code?.startsWith('E') === true && !code.startsWith('ERR_')
    ? new WorkspaceError('UNAVAILABLE', `Reading the hash snapshot ${ref.slice(0, 12)} failed (${code}).`, {
        cause: error,
        details: { ref },
      })
    : damaged(ref, error)
}

function manifestPath(directory: string, ref: string): string {
  return join(directory, `${ref}${MANIFEST_ENDING}`)
}

/** Whether the file is there; marks it as used now. */
function touch(path: string): boolean {
  try {
    const now = new Date()
    utimesSync(path, now, now)
    return true
  } catch {
    return false
  }
}

function provesWhole(path: string, ref: string): boolean {
  try {
    return (
      createHash('sha256')
        .update(zlib.zstdDecompressSync(readFileSync(path)))
        .digest('hex') === ref
    )
  } catch {
    return false
  }
}
