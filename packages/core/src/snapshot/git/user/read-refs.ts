import { readdirSync, type Dirent } from 'node:fs'
import { joinPath, nativePath, type BytePath } from '../../byte-path.ts'
import { lstatIfAllowed } from '../table/file-stamp.ts'
import { isRefName } from './is-ref-name.ts'
import { readRegularFile } from '../private/read-regular-file.ts'

const MAX_PACKED_BYTES = 64 << 20
const MAX_REF_BYTES = 4096
const MAX_DEPTH = 40
const MAX_LOOSE_REFS = 100_000
const kinds = ['refs/heads', 'refs/tags']

/**
 * Branches, tags and the stash with the ids that they name, read without git and without following links. What git would
 * not take for a ref is none. Names are in Latin-1.
 * @param also other refs to look for
 */
export function readRefs(commonDirectory: BytePath, also: readonly string[] = []): Map<string, string> {
  const refs = new Map<string, string>()
  const packed = readRegularFile(nativePath(joinPath(commonDirectory, 'packed-refs')), {
    maxBytes: MAX_PACKED_BYTES,
  })
  for (const line of packed?.toString('latin1').split('\n') ?? []) {
    const [, id, name] = /^([0-9a-f]{40}|[0-9a-f]{64}) (refs\/.+)$/.exec(line) ?? []
    if (id === undefined || name === undefined) continue
    if (isRecorded(name) || also.includes(name)) refs.set(name, id)
  }
  for (const kind of kinds) readLoose(commonDirectory, kind, refs, 0)
  for (const ref of ['refs/stash', ...also]) readLooseRef(commonDirectory, ref, refs)
  return refs
}

/** Whether it is one of those that every state has. */
export function isRecorded(name: string): boolean {
  return isRefName(name) && (name === 'refs/stash' || kinds.some((kind) => name.startsWith(`${kind}/`)))
}

function readLoose(common: BytePath, directory: string, refs: Map<string, string>, depth: number): void {
  const path = nativePath(joinPath(common, directory))
  const stats = lstatIfAllowed(path)
  if (stats === null || stats === 'denied' || !stats.isDirectory() || depth > MAX_DEPTH) return
  let items: Dirent[]
  try {
    items = readdirSync(path, { withFileTypes: true, encoding: 'latin1' })
  } catch {
    return
  }
  for (const item of items) {
    if (refs.size > MAX_LOOSE_REFS) return
    const name = `${directory}/${item.name}`
    if (item.isDirectory()) readLoose(common, name, refs, depth + 1)
    else if (isRefName(name)) readLooseRef(common, name, refs)
  }
}

function readLooseRef(common: BytePath, name: string, refs: Map<string, string>): void {
  const content = readRegularFile(nativePath(joinPath(common, name)), { maxBytes: MAX_REF_BYTES })
  const id = content?.toString('latin1').trim()
  if (id !== undefined && /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/.test(id)) refs.set(name, id)
}
