import { createHash } from 'node:crypto'
import type { ByteString } from '../../filesystem/directory-handle.ts'
import {
  leafOf,
  listChanges,
  preciousToEither,
  readText,
  type DescribedState,
  type Leaf,
} from './describe-changes.ts'
import { patchNames, quotePatchPath } from '../quote-patch-path.ts'
import type { StoredState } from './stored-state.ts'
import { writeLiteral } from './write-binary.ts'
import { writeHunks } from './write-hunks.ts'

const NO_BLOB = '0'.repeat(40)

/**
 * The patch in git's extended format, with the ids that git would give, for `git apply` in both directions. What git
 * has no place for (empty directories, permissions besides the owner's execute bit) is not in it.
 */
export async function* writePatch(
  before: DescribedState,
  after: DescribedState,
  signal?: AbortSignal,
): AsyncGenerator<Uint8Array, void, void> {
  const isSecret = preciousToEither(before.facts, after.facts)
  for (const { path, before: old, after: fresh } of await listChanges(before, after, signal)) {
    signal?.throwIfAborted()
    if (isSecret(path)) continue
    const left = await openSide(before.state, path, leafOf(old))
    const right = await openSide(after.state, path, leafOf(fresh))
    const isOtherType = left !== null && right !== null && left.entry.type !== right.entry.type
    if (!isOtherType) yield* writeFilePatch(path, left, right)
    else {
      yield* writeFilePatch(path, left, null)
      yield* writeFilePatch(path, null, right)
    }
  }
}

interface Side {
  readonly entry: Leaf
  /** As git has it: what it is, and whether its owner may execute it. */
  readonly mode: string
  readonly blob: string
  readonly bytes: number
  /** `null` for what counts as binary. */
  readonly text: Buffer | null
  read(): AsyncIterable<Uint8Array>
}

async function openSide(state: StoredState, path: ByteString, entry: Leaf | null): Promise<Side | null> {
  if (entry === null) return null
  const bytes = entry.type === 'file' ? entry.size : entry.target.length
  const text = await readText(state, path, entry)
  const read = (): AsyncIterable<Uint8Array> => state.read(path, entry)
  const digest = createHash('sha1').update(`blob ${bytes}\0`)
  if (text === null) for await (const chunk of read()) digest.update(chunk)
  else digest.update(text)
  const mode = entry.type === 'symlink' ? '120000' : (entry.mode & 0o100) === 0 ? '100644' : '100755'
  return { entry, mode, blob: digest.digest('hex'), bytes, text, read }
}

async function* writeFilePatch(
  path: ByteString,
  before: Side | null,
  after: Side | null,
): AsyncGenerator<Uint8Array, void, void> {
  const hasSameContent = before?.blob === after?.blob
  if (hasSameContent && before?.mode === after?.mode) return
  yield Buffer.from(`diff --git ${patchNames(path)}\n`, 'latin1')
  yield Buffer.from(modeLines(before, after))
  if (hasSameContent) return
  const mode = before !== null && before.mode === after?.mode ? ` ${before.mode}` : ''
  yield Buffer.from(`index ${before?.blob ?? NO_BLOB}..${after?.blob ?? NO_BLOB}${mode}\n`)

  const old = textOf(before)
  const fresh = textOf(after)
  if (old === null || fresh === null) {
    yield Buffer.from('GIT binary patch\n')
    yield* writeSide(after)
    yield* writeSide(before)
  } else if (old.length > 0 || fresh.length > 0) {
    yield Buffer.from(`--- ${label('a', path, before)}\n+++ ${label('b', path, after)}\n`, 'latin1')
    yield writeHunks(old, fresh)
  }
}

function modeLines(before: Side | null, after: Side | null): string {
  if (before === null) return after === null ? '' : `new file mode ${after.mode}\n`
  if (after === null) return `deleted file mode ${before.mode}\n`
  return before.mode === after.mode ? '' : `old mode ${before.mode}\nnew mode ${after.mode}\n`
}

function textOf(side: Side | null): Buffer | null {
  return side === null ? Buffer.alloc(0) : side.text
}

function writeSide(side: Side | null): AsyncIterable<Uint8Array> {
  return side === null ? writeLiteral(nothing(), 0) : writeLiteral(side.read(), side.bytes)
}

/** A name with a space is marked off with a tab, so that nothing after it is taken for a part of it. */
function label(prefix: string, path: ByteString, side: Side | null): string {
  if (side === null) return '/dev/null'
  const name = quotePatchPath(`${prefix}/${path}`)
  return name.includes(' ') ? `${name}\t` : name
}

async function* nothing(): AsyncGenerator<Uint8Array, void, void> {
  // The side that is not there.
}
