import type { BytePath } from '../../byte-path.ts'
import { nameLists, type CapturedDirectory, type Reach } from './captured-directory.ts'
import { fromColumns, toColumns, type StampColumns } from './entry-table.ts'
import { FIELDS } from './shared-columns.ts'

/** Directories by path, for a file or another thread: thousands of objects would take long to write, and to read. */
export interface DirectoryColumns extends StampColumns {
  /** Each list of names of each directory, one text for each list. */
  readonly lists: readonly string[]
  /** Three characters for each directory. */
  readonly flags: string
}

const reaches: readonly Reach[] = ['rules', 'ignored', 'precious']

export function toDirectoryColumns(directories: ReadonlyMap<BytePath, CapturedDirectory>): DirectoryColumns {
  const stamps = toColumns(directories)
  const rows = [...directories.values()]
  return {
    ...stamps,
    // The leading separator keeps a lone empty path (the workspace itself) apart from no path at all.
    paths: `\0${stamps.paths}`,
    lists: nameLists.map((list) => rows.map((row) => row[list]).join('\0')),
    flags: rows
      .map((row) => `${row.hasIgnoreFile ? 1 : 0}${row.isRepository ? 1 : 0}${reaches.indexOf(row.reach)}`)
      .join(''),
  }
}

export function fromDirectoryColumns(columns: DirectoryColumns): Map<BytePath, CapturedDirectory> {
  const { flags, numbers } = columns
  const paths = columns.paths
    .slice(1)
    .split('\0')
    .slice(0, numbers.length / FIELDS)
  const [files, children, special, ignored, precious, entered, unsupported] = columns.lists.map((text) =>
    text.split('\0'),
  )
  return fromColumns(columns, paths, (row) => ({
    files: files?.[row] ?? '',
    children: children?.[row] ?? '',
    special: special?.[row] ?? '',
    ignored: ignored?.[row] ?? '',
    precious: precious?.[row] ?? '',
    entered: entered?.[row] ?? '',
    unsupported: unsupported?.[row] ?? '',
    hasIgnoreFile: flags[row * 3] === '1',
    isRepository: flags[row * 3 + 1] === '1',
    reach: reaches[Number(flags[row * 3 + 2])] ?? 'rules',
  }))
}
