import { randomBytes } from 'node:crypto'
import { appendFileSync, closeSync, openSync, readFileSync, readSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { zstdCompressSync } from 'node:zlib'
import { quote, shell } from '../shell.ts'
import { walkTree } from '../walk-tree.ts'

/** The change that an agent makes between two saves, on the same files each time. */
export interface TreeEdits {
  /** A line at the end of five small files, a line in the middle of five others, 1 MB of noise at the end of a big one. */
  apply(): Promise<void>
  /** One byte in front of the big one. */
  shift(): Promise<void>
  /** Puts all of them back. */
  undo(): Promise<void>
}

export function planEdits(tree: string, backup: string): TreeEdits {
  const { small, big } = chooseFiles(tree)
  const files = [...small, big]
  let isKept = false
  const saved = (index: number): string => quote(join(backup, `file-${index}`))
  const keep = async (): Promise<void> => {
    if (isKept) return
    await shell(`mkdir ${quote(backup)}`, tree)
    for (const [index, path] of files.entries()) await shell(`cp -a ${quote(path)} ${saved(index)}`, tree)
    isKept = true
  }
  return {
    async apply() {
      await keep()
      editFiles(small)
      appendFileSync(big, randomBytes(1_000_000))
    },
    async shift() {
      const shifted = `${quote(backup)}/shifted`
      await shell(
        `{ printf x; cat ${quote(big)}; } > ${shifted} && cat ${shifted} > ${quote(big)} && rm ${shifted}`,
        tree,
      )
    },
    async undo() {
      if (!isKept) return
      for (const [index, path] of files.entries()) await shell(`cp -a ${saved(index)} ${quote(path)}`, tree)
    },
  }
}

/** Half of them get a line at the end, half of them in the middle. */
export function editFiles(paths: readonly string[]): void {
  for (const [index, path] of paths.entries()) {
    if (index % 2 === 0) {
      appendFileSync(path, `// edited ${index}\n`)
      continue
    }
    const content = readFileSync(path)
    const middle = content.length >> 1
    writeFileSync(
      path,
      Buffer.concat([content.subarray(0, middle), Buffer.from('/* inserted */'), content.subarray(middle)]),
    )
  }
}

/** Ten small text files from all over the tree, and the biggest file that compresses. */
export function chooseFiles(tree: string): { readonly small: readonly string[]; readonly big: string } {
  const texts: string[] = []
  const all: { readonly path: string; readonly size: number }[] = []
  walkTree(tree, (path, { size }) => {
    all.push({ path, size })
    if (size >= 20 && size <= 20_000 && /\.(?:[cm]?[jt]s|json|md)$/.test(path)) texts.push(path)
  })
  texts.sort()
  all.sort((left, right) => right.size - left.size)
  const big = all.find(({ path, size }) => compresses(path, size))?.path
  if (big === undefined) throw new Error(`${tree} holds no file that compresses`)
  const small = Array.from(
    { length: 10 },
    (_, index) => texts[Math.floor(((index + 0.5) * texts.length) / 10)],
  )
  return { small: small.filter((path) => path !== undefined && path !== big) as string[], big }
}

function compresses(path: string, size: number): boolean {
  const sample = Buffer.alloc(Math.min(size, 262_144))
  const file = openSync(path, 'r')
  try {
    readSync(file, sample, 0, sample.length, Math.floor((size - sample.length) / 3))
  } finally {
    closeSync(file)
  }
  return zstdCompressSync(sample).length < sample.length * 0.7
}
