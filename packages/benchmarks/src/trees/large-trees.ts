import { appendFileSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { copyProjectTree } from './project-tree.ts'

/** A tree of so many files that looking at each of them is most of the work. */
export interface LargeTree {
  /** How many files, in words. */
  readonly files: string
  write(directory: string, log: (line: string) => void): Promise<void>
  /** Appends a line to ten files all over the tree. */
  edit(directory: string): Promise<void>
}

const FILES_PER_FOLDER = 100
const FOLDERS_PER_PACKAGE = 50

/** Sources of some 1.5 KB. */
export function smallFiles(count: number): LargeTree {
  return {
    files: count.toLocaleString('en'),
    async write(directory, log) {
      log(`writing ${count} files`)
      for (let number = 0; number < count; number += 1) {
        const folder = folderOf(directory, number)
        if (number % FILES_PER_FOLDER === 0) mkdirSync(folder, { recursive: true })
        const text = `export const value${number} = ${number}\n`.repeat(40)
        writeFileSync(join(folder, `source-${number}.ts`), text)
      }
    },
    async edit(directory) {
      for (let number = 0; number < count; number += count / 10)
        appendFileSync(join(folderOf(directory, number), `source-${number}.ts`), '// edited\n')
    },
  }
}

function folderOf(directory: string, number: number): string {
  const folder = Math.floor(number / FILES_PER_FOLDER)
  return join(directory, `package-${Math.floor(folder / FOLDERS_PER_PACKAGE)}`, `folder-${folder}`)
}

const copies = ['first', 'second', 'third', 'fourth']

/** The project with its node_modules, four times in one repository: some 54,000 files, 600 MB. */
export const fourProjects: LargeTree = {
  files: '54,000 real',
  async write(directory, log) {
    mkdirSync(directory)
    for (const name of copies) await copyProjectTree(join(directory, name), log)
  },
  async edit(directory) {
    const folders = copies.map((name) => join(directory, name, 'node_modules/rxjs/src/internal/operators'))
    for (const [at, name] of readdirSync(folders[0] ?? '')
      .slice(0, 10)
      .entries())
      appendFileSync(join(folders[at % folders.length] ?? '', name), '// edited\n')
  },
}
