import { createHash } from 'node:crypto'
import { WorkspaceError } from '../../../errors.ts'
import { singleChunk } from '../../../single-chunk.ts'
import { streamGit } from './git-command.ts'
import { privateCall, type PrivateRepository } from './private-repository.ts'
import type { ObjectReader } from './read-object.ts'

type ReceiveBlob = (index: number, size: number, content: AsyncIterable<Uint8Array>) => Promise<void>

/** For so many, a start of git takes longer than reading them one by one. */
const FEW = 100

/**
 * Passes the content of blobs on, one after the other, in the given order, each compared with its id: git does not do that
 * for a large one.
 * @param read of the repository
 */
export async function readBlobs(
  repository: PrivateRepository,
  read: ObjectReader,
  ids: readonly string[],
  receive: ReceiveBlob,
  signal?: AbortSignal,
): Promise<void> {
  const done = ids.length > FEW ? 0 : await readWithoutGit(read, ids, receive)
  const asked = ids.slice(done)
  if (asked.length === 0) return
  const input = Buffer.from(`${asked.join('\n')}\n`)
  const source = streamGit(privateCall(repository, ['cat-file', '--batch'], { input, signal }))
  let rest: Uint8Array = new Uint8Array()
  const more = async () => {
    const next = await source.next()
    if (next.done === true) throw unreadable('git cat-file ended before its last object.')
    rest = rest.length === 0 ? next.value : Buffer.concat([rest, next.value])
  }
  async function* content(id: string, size: number): AsyncGenerator<Uint8Array> {
    const hash = createHash(repository.format).update(`blob ${size}\0`)
    let left = size
    while (left > 0) {
      if (rest.length === 0) await more()
      const chunk = rest.subarray(0, left)
      rest = rest.subarray(chunk.length)
      left -= chunk.length
      hash.update(chunk)
      yield chunk
    }
    if (hash.digest('hex') !== id) throw unreadable(`bad object ${id}: it has another content.`)
  }
  try {
    for (const [index, id] of asked.entries()) {
      while (!rest.includes(10)) await more()
      const end = rest.indexOf(10)
      const header = Buffer.from(rest.subarray(0, end)).toString('latin1')
      rest = rest.subarray(end + 1)
      const [, type, size] = header.split(' ')
      if (type !== 'blob' || size === undefined)
        throw unreadable(`git cat-file says "${header}" about ${id}.`)
      await receive(done + index, Number(size), content(id, Number(size)))
      while (rest.length === 0) await more()
      rest = rest.subarray(1)
    }
  } finally {
    await source.return()
  }
}

/** @returns how many of the first were passed on */
async function readWithoutGit(
  read: ObjectReader,
  ids: readonly string[],
  receive: ReceiveBlob,
): Promise<number> {
  for (const [index, id] of ids.entries()) {
    const object = read(id)
    if (object?.type !== 'blob') return index
    await receive(index, object.content.length, singleChunk(object.content))
  }
  return ids.length
}

function unreadable(message: string): WorkspaceError {
  return new WorkspaceError('UNAVAILABLE', message)
}
