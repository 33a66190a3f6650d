import type { FileDiff } from '../list-file-diffs.ts'

interface TreeFile {
  readonly name: string
  readonly file: FileDiff
  /** Its place in the list of files. */
  readonly index: number
}

export interface TreeDirectory {
  /** A chain of directories with nothing else in them is one: `src/main/java`. */
  readonly name: string
  readonly directories: readonly TreeDirectory[]
  readonly files: readonly TreeFile[]
}

interface Branch {
  readonly branches: Map<string, Branch>
  readonly files: TreeFile[]
}

const MAX_DEPTH = 12

/** Files by directory, in their order. Deeper than 12 directories a path stays in one piece. */
export function fileTree(files: readonly FileDiff[]): TreeDirectory {
  const root: Branch = { branches: new Map(), files: [] }
  for (const [index, file] of files.entries()) {
    const names = file.path.split('/')
    const directories = names.slice(0, Math.min(names.length - 1, MAX_DEPTH))
    let branch = root
    for (const name of directories) {
      let next = branch.branches.get(name)
      if (next === undefined) branch.branches.set(name, (next = { branches: new Map(), files: [] }))
      branch = next
    }
    branch.files.push({ name: names.slice(directories.length).join('/'), file, index })
  }
  return toDirectory('', root)
}

function toDirectory(name: string, branch: Branch): TreeDirectory {
  const [only] = branch.branches
  if (name !== '' && branch.files.length === 0 && branch.branches.size === 1 && only !== undefined) {
    return toDirectory(`${name}/${only[0]}`, only[1])
  }
  const directories = [...branch.branches].map(([child, next]) => toDirectory(child, next))
  return { name, directories, files: branch.files }
}
