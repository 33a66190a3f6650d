import type { BigIntStats } from 'node:fs'
import type { ByteString } from '../../filesystem/directory-handle.ts'
import type { FileEntry } from '../format/tree-node.ts'

/** What is known of the files of a directory from the last save or load of it. */
export interface KnownFiles {
  /** Whether this file has not been touched since, and had this content then. */
  hasContent(path: ByteString, stats: BigIntStats, file: FileEntry): boolean
}

export const nothingKnown: KnownFiles = { hasContent: () => false }
