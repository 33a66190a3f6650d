import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { trimSpace } from '../../byte-path.ts'
import { readRegularFile } from '../private/read-regular-file.ts'
import type { RepositoryState } from './repository-state.ts'

/** What the other work trees of a repository have checked out. */
export function findWorktreeHeads({
  gitDirectory,
  commonDirectory,
}: Pick<RepositoryState, 'gitDirectory' | 'commonDirectory'>): {
  readonly name: string
  readonly head: string
}[] {
  const directory = join(commonDirectory, 'worktrees')
  let names: string[]
  try {
    names = readdirSync(directory)
  } catch {
    names = []
  }
  const others = names.map((name) => ({ name, place: join(directory, name) }))
  others.push({ name: 'the main one', place: commonDirectory })
  return others.flatMap(({ name, place }) => {
    if (place === gitDirectory) return []
    const head = readRegularFile(join(place, 'HEAD'), { maxBytes: 4096 })
    return head === null ? [] : [{ name, head: trimSpace(head.toString('latin1')) }]
  })
}
