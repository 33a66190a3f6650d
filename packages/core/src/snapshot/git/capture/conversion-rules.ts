import { joinPath, nativePath, toBytePath, trimSpace, type BytePath } from '../../byte-path.ts'
import { findAttributeFiles } from './attribute-files.ts'
import { lstatIfAllowed } from '../table/file-stamp.ts'
import { parseIgnoreFile, type IgnoreList } from '../walk/ignore-file.ts'
import type { WorkspaceListing } from './list-workspace.ts'
import type { NestedRepository } from '../user/nested-repository.ts'
import { readRegularFile } from '../private/read-regular-file.ts'
import type { UserRepository } from '../user/repository-layout.ts'
import type { TrackedFiles } from '../user/tracked-files.ts'

/** What may have become of files on their way into the index, so that its blobs are not what is in the directory. */
export interface ConversionRules {
  /** A program or another encoding: the blob may be anything. What only changes line endings changes the size. */
  mayDiffer(path: BytePath): boolean
  /** Whether it is said of no path. */
  readonly isNone: boolean
}

const MAX_ATTRIBUTES_BYTES = 100 << 20

/**
 * Reads every file with attributes. A pattern counts wherever it is, also where another one takes back what it says: a
 * file that is read for nothing costs time only.
 * @param files paths of the `.gitattributes` files in the workspace
 */
export function readConversionRules(
  {
    path,
    user,
    nested,
  }: {
    readonly path: string
    readonly user: UserRepository
    readonly nested: readonly NestedRepository[]
  },
  files: Iterable<BytePath>,
): ConversionRules {
  const rules = { lists: [] as PlacedList[], isAnything: false, ignoreCase: user.ignoreCase }
  const root = toBytePath(path)
  const add = (file: BytePath, lead: BytePath, under: BytePath): void => {
    const content = readRegularFile(nativePath(file), { maxBytes: MAX_ATTRIBUTES_BYTES, followLink: true })
    // What may not be read, git may have read when it made the index.
    if (content === null) rules.isAnything ||= lstatIfAllowed(nativePath(file)) !== null
    else addLines(rules, content.toString('latin1'), lead, under)
  }
  for (const file of [...user.attributeFiles, '/etc/gitattributes', '/usr/local/etc/gitattributes'])
    add(toBytePath(file), user.prefix, '')
  const above = user.prefix.split('/').slice(0, -1)
  for (const depth of above.keys()) {
    const directory = above
      .slice(0, depth)
      .map((name) => `${name}/`)
      .join('')
    add(`${toBytePath(user.topLevel)}/${directory}.gitattributes`, user.prefix.slice(directory.length), '')
  }
  for (const repository of nested) add(repository.attributeFile, '', `${repository.path}/`)
  for (const file of files) add(joinPath(root, file), '', file.slice(0, file.lastIndexOf('/') + 1))
  const { lists, isAnything } = rules
  return {
    isNone: lists.length === 0 && !isAnything,
    mayDiffer(name) {
      if (isAnything) return true
      const last = name.slice(name.lastIndexOf('/') + 1)
      return lists.some(
        ({ list, lead, under }) =>
          name.startsWith(under) && list.verdict(lead + name.slice(under.length), last, false) !== null,
      )
    },
  }
}

/** The same for all files that are there or tracked. Read when they are first asked for: most captures need none. */
export function conversionRulesOf(
  workspace: Parameters<typeof readConversionRules>[0] & {
    readonly listing: WorkspaceListing
    readonly tracked: TrackedFiles | null
  },
): () => ConversionRules {
  let rules: ConversionRules | null = null
  return () => {
    if (rules !== null) return rules
    const { files, isAllThere } = findAttributeFiles(workspace)
    rules = isAllThere ? readConversionRules(workspace, files) : { mayDiffer: () => true, isNone: false }
    return rules
  }
}

interface PlacedList {
  readonly list: IgnoreList
  /** What lies between the file's own directory and the workspace. */
  readonly lead: BytePath
  /** The directory in the workspace that it counts for; empty, or ends in a slash. */
  readonly under: BytePath
}

function addLines(
  rules: { readonly lists: PlacedList[]; isAnything: boolean; readonly ignoreCase: boolean },
  text: string,
  lead: BytePath,
  under: BytePath,
): void {
  const patterns: string[] = []
  for (const line of text.split('\n')) {
    const [pattern = '', ...attributes] = trimSpace(line).split(/[ \t\r]+/)
    const named = attributes.join(' ')
    if (pattern === '' || pattern.startsWith('#')) continue
    if (!/filter|ident|working-tree-encoding/.test(named)) continue
    // Macros count for what names them; quotes hold what is no plain pattern.
    if (/^["[!]/.test(pattern)) rules.isAnything = true
    else patterns.push(pattern)
  }
  const list = parseIgnoreFile(patterns.join('\n'), rules.ignoreCase)
  if (list !== null) rules.lists.push({ list, lead, under })
}
