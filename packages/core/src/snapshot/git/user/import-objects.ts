import { join } from 'node:path'
import { runGit } from '../private/git-command.ts'
import { keptObjectsDirectory } from '../private/keep-repository-objects.ts'
import { alternateEnvironment, type PrivateRepository } from '../private/private-repository.ts'
import type { UserRepository } from './repository-layout.ts'

/**
 * Brings objects back that the user's gc, or a removal of the repository, has taken: what the needed ones lead to and the
 * repository does not reach any more is packed into it from what we keep.
 * @returns ids that are nowhere
 */
export async function importObjects(
  own: PrivateRepository,
  user: UserRepository,
  needed: readonly string[],
  { isPreview = false }: { readonly isPreview?: boolean } = {},
): Promise<string[]> {
  if (needed.length === 0) return []
  const absent = await missingFrom(user, needed, {})
  if (absent.length === 0) return []
  const kept = alternates(own)
  const nowhere = await missingFrom(user, absent, kept)
  const found = absent.filter((id) => !nowhere.includes(id))
  if (isPreview || found.length === 0) return nowhere
  const list = await runGit({
    args: ['rev-list', '--objects', '--no-object-names', '--missing=allow-any', '--stdin'],
    cwd: '/',
    configuration: 'private',
    environment: { GIT_DIR: user.gitDirectory, ...kept },
    input: Buffer.from(`${found.join('\n')}\n`),
  })
  const ids = list.toString('latin1').split('\n').filter(Boolean)
  const wanted = await missingFrom(user, ids, {})
  const unavailable = new Set(await missingFrom(user, wanted, kept))
  await runGit({
    args: ['pack-objects', '-q', join(user.objectsDirectory, 'pack', 'pack')],
    cwd: '/',
    configuration: 'private',
    environment: { GIT_DIR: user.gitDirectory, ...kept },
    input: Buffer.from(`${wanted.filter((id) => !unavailable.has(id)).join('\n')}\n`),
  })
  return nowhere
}

async function missingFrom(
  user: UserRepository,
  ids: readonly string[],
  environment: Readonly<Record<string, string>>,
): Promise<string[]> {
  if (ids.length === 0) return []
  const output = await runGit({
    args: ['cat-file', '--batch-check=%(objecttype)', '--buffer'],
    cwd: '/',
    configuration: 'private',
    environment: { GIT_DIR: user.gitDirectory, ...environment },
    input: Buffer.from(`${ids.join('\n')}\n`),
  })
  const lines = output.toString('latin1').split('\n')
  return ids.filter((_, at) => lines[at]?.endsWith(' missing') !== false)
}

function alternates(own: PrivateRepository): Record<string, string> {
  const places = [keptObjectsDirectory(own), join(own.directory, 'objects')]
  const quoted = places.map((place) => alternateEnvironment(place)['GIT_ALTERNATE_OBJECT_DIRECTORIES'] ?? '')
  return { GIT_ALTERNATE_OBJECT_DIRECTORIES: quoted.join(':') }
}
