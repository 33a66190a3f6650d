import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { closeDirectory, openRoot, toByteString } from '../filesystem/directory-handle.ts'
import { removeTree } from '../filesystem/remove-tree.ts'

/** Calls `use` with an empty directory that nobody else can enter, and removes it with all that it then holds. */
export async function withStagingDirectory<T>(use: (directory: string) => Promise<T>): Promise<T> {
  const base = mkdtempSync(join(tmpdir(), 'ws-upload-'))
  try {
    return await use(join(base, 'content'))
  } finally {
    const handle = openRoot(toByteString(base))
    try {
      // Names of any bytes, any depth, and directories without permissions.
      await removeTree(handle, toByteString('content'))
    } finally {
      closeDirectory(handle)
    }
    rmSync(base, { recursive: true, force: true })
  }
}
