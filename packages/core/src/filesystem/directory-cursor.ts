import {
  closeDirectory,
  openChild,
  openRoot,
  type ByteString,
  type DirectoryHandle,
} from './directory-handle.ts'

/**
 * Opens directories below a root one name at a time, so that no link on the way is followed and no path is too long.
 * Cheapest when directories are asked for in the order of a depth-first walk.
 */
export interface DirectoryCursor {
  readonly root: DirectoryHandle
  /**
   * Stays open until the next call at least.
   * @param path names with `/` between them; `''` is the root
   * @throws `NodeJS.ErrnoException` when a name is gone or is no directory (a link is none)
   */
  open(path: ByteString): DirectoryHandle
  close(): void
}

/** How many directories on the way down stay open; those above are opened again when they are needed. */
const MAX_OPEN = 128

/**
 * @param path absolute
 * @param open `openRealRoot` where something is changed
 */
export function createDirectoryCursor(path: ByteString, open = openRoot): DirectoryCursor {
  const root = open(path)
  let current: ByteString[] = []
  /** By depth; the place of a closed one is empty. */
  let handles: (DirectoryHandle | undefined)[] = []
  const closeFrom = (depth: number): void => {
    for (const handle of handles.splice(depth)) if (handle !== undefined) closeDirectory(handle)
    current.length = Math.min(current.length, depth)
  }
  return {
    root,
    open(wanted) {
      if (wanted === '') return root
      const names = wanted.split('/')
      let shared = 0
      while (shared < names.length && names[shared] === current[shared]) shared += 1
      closeFrom(shared)
      if (shared === names.length) {
        const handle = handles[shared - 1]
        if (handle !== undefined) return handle
      }
      let depth = shared
      while (depth > 0 && handles[depth - 1] === undefined) depth -= 1
      let handle = handles[depth - 1] ?? root
      closeFrom(depth)
      for (; depth < names.length; depth += 1) {
        const name = names[depth] ?? ''
        handle = openChild(handle, name)
        handles.push(handle)
        current.push(name)
        const old = handles[depth - MAX_OPEN]
        if (old !== undefined) {
          closeDirectory(old)
          handles[depth - MAX_OPEN] = undefined
        }
      }
      return handle
    },
    close() {
      closeFrom(0)
      closeDirectory(root)
      current = []
      handles = []
    },
  }
}
