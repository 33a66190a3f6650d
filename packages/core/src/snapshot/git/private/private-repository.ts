import crypto, { createHash, randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { mkdir, open, rename, rm, writeFile, type FileHandle } from 'node:fs/promises'
import { basename, delimiter, dirname, join } from 'node:path'
import { once } from 'node:events'
import { promisify } from 'node:util'
import { createDeflate, deflate, deflateSync } from 'node:zlib'
import type { GitCall } from './git-command.ts'
import type { ObjectFormat } from './object-format.ts'

/** A bare repository of our own that holds all that snapshots need; nothing in the user's is needed to read them. */
export interface PrivateRepository {
  readonly directory: string
  readonly format: ObjectFormat
  /** What was stored through this object since somebody last took note of it. */
  readonly written: { bytes: number }
}

export type ObjectType = 'blob' | 'tree'

const COMPRESSION_LEVEL = 1
/** Names of packs that something wrote to: they are not taken from the user's repository again. */
export const DISTRUSTED = 'distrusted'

export async function openPrivateRepository(
  stateDirectory: string,
  format: ObjectFormat,
): Promise<PrivateRepository> {
  const directory = join(stateDirectory, 'git', format)
  for (const part of ['objects/pack', 'objects/info', 'refs', 'info', 'sidecars', 'omitted', 'temporary']) {
    await mkdir(join(directory, part), { recursive: true, mode: 0o700 })
  }
  if (!existsSync(join(directory, 'HEAD'))) {
    const version = format === 'sha1' ? '0' : '1\n[extensions]\n\tobjectFormat = sha256'
    await writeFile(
      join(directory, 'config'),
      `[core]\n\tbare = true\n\trepositoryFormatVersion = ${version}\n`,
    )
    await writeFile(join(directory, 'HEAD'), 'ref: refs/heads/none\n')
  }
  return { directory, format, written: { bytes: 0 } }
}

/** Removes what a killed capture left behind. Call it only under the workspace's lock. */
export function sweepTemporaries(repository: PrivateRepository): void {
  const packs = join(repository.directory, 'objects', 'pack')
  const names = new Set(readdirSync(packs))
  for (const name of names) {
    // Of a pack and its index the pack is the first to be there and the last to go.
    const isHalf = name.endsWith('.pack') && !names.has(name.replace(/\.pack$/, '.idx'))
    if (name.startsWith('tmp_') || isHalf) rmSync(join(packs, name), { force: true })
  }
  const temporary = join(repository.directory, 'temporary')
  for (const name of readdirSync(temporary)) rmSync(join(temporary, name), { recursive: true, force: true })
  // A living process whose note goes here makes it again the next time.
  const git = dirname(repository.directory)
  for (const path of [join(dirname(git), 'git-layout.'), join(git, 'repository-layout.')])
    for (const name of readdirSync(dirname(path)))
      if (name.startsWith(basename(path))) rmSync(join(dirname(path), name), { force: true })
}

/** A call on the private repository, outside the workspace. */
export function privateCall(
  repository: PrivateRepository,
  args: readonly string[],
  rest: Partial<GitCall> = {},
): GitCall {
  return {
    cwd: repository.directory,
    configuration: 'private',
    args,
    ...rest,
    environment: { GIT_DIR: repository.directory, ...rest.environment },
  }
}

export function objectId(repository: PrivateRepository, type: ObjectType, content: Uint8Array): string {
  const header = `${type} ${content.length}\0`
  if (content.length === 0) return crypto.hash(repository.format, header)
  return createHash(repository.format).update(header).update(content).digest('hex')
}

const compress = promisify(deflate)

/** Stores an object in git's loose format, unless it is there. */
export function writeObject(
  repository: PrivateRepository,
  type: ObjectType,
  id: string,
  content: Uint8Array,
): void {
  if (existsSync(loosePath(repository, id))) return
  putObject(repository, id, deflateSync(withHeader(type, content), { level: COMPRESSION_LEVEL }))
}

/** The same, compressed in the thread pool. */
export async function writeObjectInPool(
  repository: PrivateRepository,
  type: ObjectType,
  id: string,
  content: Uint8Array,
): Promise<void> {
  if (existsSync(loosePath(repository, id))) return
  putObject(repository, id, await compress(withHeader(type, content), { level: COMPRESSION_LEVEL }))
}

function withHeader(type: ObjectType, content: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from(`${type} ${content.length}\0`), content])
}

function putObject(repository: PrivateRepository, id: string, compressed: Buffer): void {
  const path = loosePath(repository, id)
  const temporary = temporaryPath(repository)
  writeFileSync(temporary, compressed, { mode: 0o400, flag: 'wx' })
  repository.written.bytes += compressed.length
  mkdirSync(join(path, '..'), { recursive: true, mode: 0o700 })
  renameSync(temporary, path)
}

/**
 * Stores a file of any size without holding it in memory.
 * @returns the blob's id, or `null` when the file did not have `size` bytes
 */
export async function writeLargeBlob(
  repository: PrivateRepository,
  file: FileHandle,
  size: number,
  signal?: AbortSignal,
): Promise<string | null> {
  const temporary = temporaryPath(repository)
  const output = await open(temporary, 'wx', 0o400)
  const deflate = createDeflate({ level: COMPRESSION_LEVEL })
  const written = (async () => {
    for await (const chunk of deflate as AsyncIterable<Buffer>) {
      await output.writeFile(chunk)
      repository.written.bytes += chunk.length
    }
  })()
  written.catch(() => {})
  try {
    const hash = createHash(repository.format)
    const feed = async (chunk: Uint8Array) => {
      hash.update(chunk)
      if (!deflate.write(chunk)) await Promise.race([once(deflate, 'drain'), written])
    }
    await feed(Buffer.from(`blob ${size}\0`))
    let total = 0
    for (;;) {
      signal?.throwIfAborted()
      const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(1 << 20), 0, 1 << 20, total)
      if (bytesRead === 0) break
      total += bytesRead
      if (total > size) break
      await feed(buffer.subarray(0, bytesRead))
    }
    deflate.end()
    await written
    if (total !== size) return null
    const id = hash.digest('hex')
    const path = loosePath(repository, id)
    await mkdir(join(path, '..'), { recursive: true, mode: 0o700 })
    await rename(temporary, path)
    return id
  } finally {
    deflate.destroy()
    await output.close()
    await rm(temporary, { force: true })
  }
}

export function alternateEnvironment(
  objects: string | readonly string[] | undefined,
): Record<string, string> {
  if (objects === undefined) return {}
  const quoted = [objects].flat().map((path) => `"${path.replace(/["\\]/g, '\\$&').replace(/\n/g, '\\n')}"`)
  return { GIT_ALTERNATE_OBJECT_DIRECTORIES: quoted.join(delimiter) }
}

export function loosePath(repository: PrivateRepository, id: string): string {
  return `${repository.directory}/objects/${id.slice(0, 2)}/${id.slice(2)}`
}

export function temporaryPath(repository: PrivateRepository): string {
  return `${repository.directory}/temporary/${randomBytes(8).toString('hex')}`
}
