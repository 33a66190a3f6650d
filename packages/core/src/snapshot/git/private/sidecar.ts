import { createHash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { WorkspaceError } from '../../../errors.ts'
import { compareBytes, fromBytePath, toBytePath, type BytePath } from '../../byte-path.ts'
import { isLink } from '../table/file-stamp.ts'
import type { PrivateRepository } from './private-repository.ts'
import { replaceOwnFile } from './replace-own-file.ts'

/** The mode of most directories, which is not recorded. */
export const USUAL_DIRECTORY_MODE = 0o755

/** What a git tree cannot hold. */
export interface Sidecar {
  /** Permission bits of files that are neither 0644 nor 0755. */
  readonly modes: ReadonlyMap<BytePath, number>
  /** Directories without captured content, with their permission bits. */
  readonly directories: ReadonlyMap<BytePath, number>
  /**
   * Permission bits of the other directories, those that hold only such ones included, where they are not 0755. The
   * workspace itself is the empty path.
   */
  readonly directoryModes: ReadonlyMap<BytePath, number>
  /** Files that could not be read: what the tree has for them is from an earlier capture. */
  readonly unread: ReadonlySet<BytePath>
  /** Files whose content is kept out of patches. */
  readonly precious: ReadonlySet<BytePath>
}

/** @returns `null` for the permission bits that a git tree can hold */
export function unusualMode(mode: number): number | null {
  const permissions = mode & 0o7777
  return permissions === 0o644 || permissions === 0o755 || isLink(mode) ? null : permissions
}

/** Stored under the hash of its content. @returns that hash, or `null` when there is nothing to store */
export function writeSidecar(repository: PrivateRepository, sidecar: Sidecar): string | null {
  const { modes, directories, directoryModes, unread, precious } = sidecar
  if (modes.size + directories.size + directoryModes.size + unread.size + precious.size === 0) return null
  const list = (map: ReadonlyMap<BytePath, number>) =>
    [...map].toSorted(([a], [b]) => compareBytes(a, b)).map(([path, mode]) => [fromBytePath(path), mode])
  const text = JSON.stringify({
    modes: list(modes),
    directories: list(directories),
    directoryModes: list(directoryModes),
    unread: [...unread].toSorted(compareBytes).map(fromBytePath),
    ...(precious.size > 0 && { precious: [...precious].toSorted(compareBytes).map(fromBytePath) }),
  })
  const id = createHash('sha256').update(text).digest('hex')
  const path = join(repository.directory, 'sidecars', id)
  if (existsSync(path)) return id
  replaceOwnFile(repository, path, text)
  return id
}

/** @throws `NOT_FOUND` when it is gone, `CORRUPT` when it is not what was written */
export function readSidecar(repository: PrivateRepository, id: string | null): Sidecar {
  if (id === null)
    return {
      modes: new Map(),
      directories: new Map(),
      directoryModes: new Map(),
      unread: new Set(),
      precious: new Set(),
    }
  let text: string
  try {
    text = readFileSync(join(repository.directory, 'sidecars', id), 'utf8')
  } catch (error) {
    throw new WorkspaceError('NOT_FOUND', `The data of snapshot state ${id} is gone. Take a new snapshot.`, {
      cause: error,
    })
  }
  if (createHash('sha256').update(text).digest('hex') !== id) {
    throw new WorkspaceError(
      'CORRUPT',
      `The stored modes of snapshot state ${id} are damaged. Take a new snapshot.`,
    )
  }
  const stored = JSON.parse(text) as Record<
    'modes' | 'directories' | 'directoryModes',
    [string, number][]
  > & {
    unread: string[]
    precious?: string[]
  }
  const map = (list: [string, number][]) => new Map(list.map(([path, mode]) => [toBytePath(path), mode]))
  return {
    modes: map(stored.modes),
    directories: map(stored.directories),
    directoryModes: map(stored.directoryModes),
    unread: new Set(stored.unread.map(toBytePath)),
    precious: new Set(stored.precious?.map(toBytePath)),
  }
}

/** A snapshot's ref: the tree's id, and the sidecar's where there is one. Equal exactly for equal states. */
export function formatRef(tree: string, sidecar: string | null): string {
  return sidecar === null ? tree : `${tree}.${sidecar}`
}

export function parseRef(ref: string): { readonly tree: string; readonly sidecar: string | null } | null {
  const parts = /^([0-9a-f]{40}|[0-9a-f]{64})(?:\.([0-9a-f]{64}))?$/.exec(ref)
  return parts === null ? null : { tree: parts[1] ?? '', sidecar: parts[2] ?? null }
}
