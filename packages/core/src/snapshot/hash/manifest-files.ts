import { createHash } from 'node:crypto'
import { createReadStream, mkdirSync, readFileSync, readdirSync, rmSync, statSync, utimesSync } from 'node:fs'
import { join } from 'node:path'
import { StringDecoder } from 'node:string_decoder'
import zlib from 'node:zlib'
import { WorkspaceError } from '../../errors.ts'
import { replaceFile } from './replace-file.ts'

const ENDING = '.manifest.zst'
/** A manifest used within this time may belong to a run that is still going on. */
const PROTECTED_MS = 60 * 60 * 1000

/** Manifests of which this thread knows that the file is whole. */
const proven = new Set<string>()

/**
 * Stores a manifest under its ref. One that is there already is kept when it proves whole, else replaced, so that damage
 * does not outlive the next capture of the same state.
 */
export function storeManifest(
  directory: string,
  ref: string,
  serialize: () => readonly Buffer[],
  maxBytes: number,
): void {
  const path = manifestPath(directory, ref)
  if (touch(path) && (proven.has(path) || provesWhole(path, ref))) {
    proven.add(path)
    return
  }
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  const compressed = zlib.zstdCompressSync(Buffer.concat(serialize()), {
    params: { [zlib.constants.ZSTD_c_compressionLevel]: 1 },
  })
  replaceFile(path, compressed)
  proven.add(path)
  collectManifests(directory, maxBytes)
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
      `The manifest of the hash snapshot ${ref.slice(0, 12)} is not in the state directory (any more). Take a new snapshot, or use the state directory that it was taken with.`,
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
  return join(directory, `${ref}${ENDING}`)
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

/** Removes the manifests used longest ago until the rest fits, and what writers that were killed left behind. */
function collectManifests(directory: string, maxBytes: number): void {
  const files = readdirSync(directory)
    .filter((name) => name.includes(ENDING))
    .map((name) => ({
      path: join(directory, name),
      stats: statSync(join(directory, name), { throwIfNoEntry: false }),
    }))
    .toSorted((left, right) => (right.stats?.mtimeMs ?? 0) - (left.stats?.mtimeMs ?? 0))
  let total = 0
  for (const { path, stats } of files) {
    total += stats?.size ?? 0
    const isOld = (stats?.mtimeMs ?? 0) < Date.now() - PROTECTED_MS
    if (!isOld || (total <= maxBytes && path.endsWith(ENDING))) continue
    rmSync(path, { force: true })
    proven.delete(path)
  }
}
