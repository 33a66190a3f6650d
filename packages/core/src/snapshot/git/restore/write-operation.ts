import { randomBytes } from 'node:crypto'
import { lstatSync, mkdirSync, renameSync, rmdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { WorkspaceError } from '../../../errors.ts'
import { errnoOf } from '../../../filesystem/filesystem-error.ts'
import { operationDirectories, type RepositoryOperation } from '../user/repository-operation.ts'

/** Makes the files of an operation in progress those of the goal. Removes none but what was recorded as being there. */
export function writeOperation(
  gitDirectory: string,
  now: RepositoryOperation,
  goal: RepositoryOperation,
): void {
  assertPlain(gitDirectory)
  // What says that something is in progress goes first and comes last.
  for (const name of Object.keys(now).toReversed())
    if (!(name in goal)) rmSync(join(gitDirectory, fileName(name)), { force: true })
  for (const directory of operationDirectories)
    if (!Object.keys(goal).some((name) => name.startsWith(`${directory}/`)))
      removeIfEmpty(join(gitDirectory, directory))
  for (const [name, { mode, content }] of Object.entries(goal).toReversed()) {
    const path = join(gitDirectory, fileName(name))
    mkdirSync(dirname(path), { recursive: true })
    const temporary = `${path}.ws-rollback-${randomBytes(4).toString('hex')}`
    writeFileSync(temporary, Buffer.from(content, 'base64'), { flag: 'wx', mode })
    renameSync(temporary, path)
  }
}

/** States are read from files: a name leads nowhere else. */
function fileName(name: string): string {
  const parts = name.split('/')
  const isUsable =
    parts.length <= 2 &&
    parts.every((part) => part !== '' && part !== '.' && part !== '..') &&
    (parts.length === 1 || operationDirectories.includes(parts[0] ?? ''))
  if (isUsable) return Buffer.from(name, 'latin1').toString('utf8')
  throw new WorkspaceError('UNSAFE_PATH', `A recorded operation names ${JSON.stringify(name)}.`)
}

/** @throws `UNSAFE_PATH` when a directory of the repository is a link to another place */
function assertPlain(gitDirectory: string): void {
  for (const name of operationDirectories) {
    const stats = lstatSync(join(gitDirectory, name), { throwIfNoEntry: false })
    if (stats === undefined || stats.isDirectory()) continue
    throw new WorkspaceError(
      'UNSAFE_PATH',
      `${join(gitDirectory, name)} is no directory, so nothing is written there.`,
      { details: { path: join(gitDirectory, name) } },
    )
  }
}

function removeIfEmpty(path: string): void {
  try {
    rmdirSync(path)
  } catch (error) {
    if (!['ENOENT', 'ENOTEMPTY', 'EEXIST'].includes(errnoOf(error) ?? '')) throw error
  }
}
