import { joinPath, nativePath, resolveBytePath, type BytePath } from '../../byte-path.ts'
import { lstatIfAllowed } from '../table/file-stamp.ts'
import { readRegularFile } from '../private/read-regular-file.ts'

/** Where a repository keeps its data; absolute. The two differ in a linked work tree. */
export interface RepositoryPlaces {
  readonly gitDirectory: BytePath
  readonly commonDirectory: BytePath
}

const MAX_TEXT_BYTES = 4096

/**
 * The repository whose work tree begins at a directory, by the same signs that git goes by. Found without git, which
 * would read its configuration.
 * @returns `null` when there is no `.git`, or one that is no repository
 */
export function findRepositoryAt(directory: BytePath): RepositoryPlaces | null {
  const link = joinPath(directory, '.git')
  const stats = lstatIfAllowed(nativePath(link))
  if (stats === null || stats === 'denied') return null
  const gitDirectory = stats.isFile() ? readGitLink(directory) : link
  if (gitDirectory === null) return null
  const commonDirectory = readCommonDirectory(gitDirectory)
  if (commonDirectory === null || !isRepository(gitDirectory, commonDirectory)) return null
  return { gitDirectory, commonDirectory }
}

/** Where the `.git` file of a linked work tree or a submodule points. */
function readGitLink(topLevel: BytePath): BytePath | null {
  const [, target] = /^gitdir: ([^\n]+)\n?$/.exec(readText(joinPath(topLevel, '.git')) ?? '') ?? []
  return target === undefined ? null : resolveBytePath(topLevel, target)
}

function readCommonDirectory(gitDirectory: BytePath): BytePath | null {
  const file = joinPath(gitDirectory, 'commondir')
  if (lstatIfAllowed(nativePath(file)) === null) return gitDirectory
  const text = readText(file)?.replace(/\n$/, '') ?? ''
  return text === '' ? null : resolveBytePath(gitDirectory, text)
}

function isRepository(gitDirectory: BytePath, commonDirectory: BytePath): boolean {
  const head = readText(joinPath(gitDirectory, 'HEAD')) ?? ''
  const isDirectory = (name: string) => {
    const stats = lstatIfAllowed(nativePath(joinPath(commonDirectory, name)))
    return stats !== null && stats !== 'denied' && stats.isDirectory()
  }
  return /^(ref: refs\/|[0-9a-f]{40})/.test(head) && isDirectory('objects') && isDirectory('refs')
}

function readText(file: BytePath): string | null {
  return (
    readRegularFile(nativePath(file), { maxBytes: MAX_TEXT_BYTES, followLink: true })?.toString('latin1') ??
    null
  )
}
