import type { BytePath } from '../../byte-path.ts'
import type { ObjectFormat } from '../private/object-format.ts'

/** Where the parts of the user's repository are. All of them are only ever read. */
export interface UserRepository {
  /** Top of the work tree. */
  readonly topLevel: string
  /** Where the workspace lies below the top: empty, or a path that ends in `/`. */
  readonly prefix: BytePath
  readonly gitDirectory: string
  readonly indexFile: string
  readonly objectsDirectory: string
  readonly format: ObjectFormat
  /** Ignore rules besides the `.gitignore` files: `info/exclude`, and `core.excludesFile` of any level. */
  readonly excludeFile: string
  readonly globalExcludesFile: string
  /** Whether upper and lower case are the same in ignore rules (`core.ignoreCase`). */
  readonly ignoreCase: boolean
  /** Attributes besides the `.gitattributes` files. */
  readonly attributeFiles: readonly string[]
}
