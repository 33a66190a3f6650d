import { compareBytes, dirnameOf, joinPath, nativePath, toBytePath, type BytePath } from '../../byte-path.ts'
import type { CapturedDirectory } from '../table/captured-directory.ts'
import { lstatIfAllowed } from '../table/file-stamp.ts'
import { readHeadFiles } from './read-head.ts'
import { readRegularFile } from '../private/read-regular-file.ts'
import { findRepositoryAt } from './repository-files.ts'
import type { ObjectFormat } from '../private/object-format.ts'

/** Another repository inside the workspace, a submodule or a linked work tree among them. Only ever read. */
export interface NestedRepository {
  /** Where its work tree begins, relative to the workspace. */
  readonly path: BytePath
  /** Absolute, as the others. */
  readonly gitDirectory: BytePath
  readonly indexFile: BytePath
  readonly objectsDirectory: BytePath
  /** A directory where its configuration may take attributes from elsewhere: nothing can be said of them then. */
  readonly attributeFile: BytePath
  readonly format: ObjectFormat
}

const MAX_CONFIG_BYTES = 1 << 20

/** The other repositories among the directories that were looked into, sorted by path. */
export function nestedRepositories(
  root: string,
  directories: ReadonlyMap<BytePath, CapturedDirectory>,
): NestedRepository[] {
  const found: NestedRepository[] = []
  for (const [path, { isRepository }] of directories) {
    const places = isRepository ? findRepositoryAt(joinPath(toBytePath(root), path)) : null
    if (places === null) continue
    const { gitDirectory, commonDirectory } = places
    const config = readConfig(joinPath(commonDirectory, 'config'))
    const isPlain = [config, readConfig(joinPath(gitDirectory, 'config.worktree'))].every(
      (text) => text !== null && !/attr|include|ignorecase/i.test(text),
    )
    found.push({
      path,
      gitDirectory,
      indexFile: joinPath(gitDirectory, 'index'),
      objectsDirectory: joinPath(commonDirectory, 'objects'),
      attributeFile: isPlain ? joinPath(commonDirectory, 'info/attributes') : gitDirectory,
      format: /^\s*objectformat\s*=\s*"?sha256/im.test(config ?? '') ? 'sha256' : 'sha1',
    })
  }
  return found.sort((a, b) => compareBytes(a.path, b.path))
}

/** What HEAD of another repository is, as far as its files tell. */
export function headOfNested(repository: NestedRepository) {
  const { gitDirectory, objectsDirectory } = repository
  return readHeadFiles(gitDirectory, dirnameOf(objectsDirectory))
}

/** @returns empty where there is none, `null` where it cannot be read */
function readConfig(file: BytePath): string | null {
  const path = nativePath(file)
  const content = readRegularFile(path, { maxBytes: MAX_CONFIG_BYTES, followLink: true })
  return content?.toString('latin1') ?? (lstatIfAllowed(path) === null ? '' : null)
}
