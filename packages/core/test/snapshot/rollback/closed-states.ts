import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'

/** What an agent can do to shut out even the owner of what it leaves behind. Each gets the workspace's path. */
export const closedStates = {
  'a file that it closes': (path) => {
    chmodSync(join(path, 'a.txt'), 0)
  },
  'a file that it edits and closes': (path) => {
    writeFileSync(join(path, 'a.txt'), 'agent\n')
    chmodSync(join(path, 'a.txt'), 0)
  },
  'a file that it replaces by a closed one': (path) => {
    writeFileSync(join(path, 'new'), 'agent\n')
    chmodSync(join(path, 'new'), 0)
    renameSync(join(path, 'new'), join(path, 'a.txt'))
  },
  'a file that it lets be written and not read': (path) => {
    // Opened, it has just the permissions that it had.
    chmodSync(join(path, 'private.txt'), 0o200)
  },
  'a closed file that it makes': (path) => {
    writeFileSync(join(path, 'made.txt'), 'agent\n')
    chmodSync(join(path, 'made.txt'), 0)
  },
  'a directory that it closes': (path) => {
    chmodSync(join(path, 'src'), 0)
  },
  'a directory in which it edits, makes and removes files before it closes it': (path) => {
    writeFileSync(join(path, 'src/b.txt'), 'agent\n')
    writeFileSync(join(path, 'src/made.txt'), 'agent\n')
    renameSync(join(path, 'src/deep/c.txt'), join(path, 'src/moved.txt'))
    chmodSync(join(path, 'src'), 0)
  },
  'a directory that can be listed and not entered': (path) => {
    writeFileSync(join(path, 'src/b.txt'), 'agent\n')
    chmodSync(join(path, 'src'), 0o400)
  },
  'a directory that can be entered and not listed': (path) => {
    writeFileSync(join(path, 'src/b.txt'), 'agent\n')
    chmodSync(join(path, 'src'), 0o100)
  },
  'closed directories in closed directories that it makes': (path) => {
    mkdirSync(join(path, 'made/in/deep'), { recursive: true })
    writeFileSync(join(path, 'made/in/deep/file'), 'agent\n')
    closeAll(join(path, 'made'))
  },
  'the workspace itself': (path) => {
    writeFileSync(join(path, 'a.txt'), 'agent\n')
    chmodSync(path, 0)
  },
  'the repository, if there is one': (path) => {
    writeFileSync(join(path, 'a.txt'), 'agent\n')
    if (existsSync(join(path, '.git'))) chmodSync(join(path, '.git'), 0)
  },
  'everything (chmod -R 000 .)': (path) => {
    writeFileSync(join(path, 'src/b.txt'), 'agent\n')
    closeAll(path)
  },
} satisfies Record<string, (path: string) => void>

export type ClosedState = keyof typeof closedStates

export function closeAll(path: string): void {
  const stats = lstatSync(path)
  if (stats.isDirectory()) for (const name of readdirSync(path)) closeAll(join(path, name))
  if (!stats.isSymbolicLink()) chmodSync(path, 0)
}

/** Removes all but the repository, whoever was shut out of it. */
export function emptyClosed(path: string): void {
  for (const name of readdirSync(path)) {
    if (name === '.git') continue
    openAll(join(path, name))
    rmSync(join(path, name), { recursive: true })
  }
}

function openAll(path: string): void {
  if (!lstatSync(path).isDirectory()) return
  chmodSync(path, 0o700)
  for (const name of readdirSync(path)) openAll(join(path, name))
}

/** As {@link describeClosed}, of the repository. */
export function describeRepository(path: string): string[] {
  const { mode } = lstatSync(path)
  chmodSync(path, mode | 0o700)
  const found = existsSync(join(path, '.git')) ? describeClosed(join(path, '.git')) : []
  chmodSync(path, mode)
  return found
}

/** Modes and contents of everything, looked into by opening it for a moment; `.git` is left out. */
export function describeClosed(path: string, name = '.'): string[] {
  const stats = lstatSync(path)
  const mode = stats.mode & 0o7777
  const isDirectory = stats.isDirectory()
  if (!stats.isSymbolicLink()) chmodSync(path, mode | (isDirectory ? 0o700 : 0o400))
  const shown = [`${name} ${mode.toString(8)}`]
  if (isDirectory) {
    for (const child of readdirSync(path).toSorted())
      if (child !== '.git') shown.push(...describeClosed(join(path, child), `${name}/${child}`))
  } else shown.push(readFileSync(path, 'latin1'))
  if (!stats.isSymbolicLink()) chmodSync(path, mode)
  return shown
}
