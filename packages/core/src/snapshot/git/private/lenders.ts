import { lstatSync, readFileSync, type Stats } from 'node:fs'
import { join } from 'node:path'
import type { PrivateRepository } from './private-repository.ts'
import { replaceOwnFile } from './replace-own-file.ts'

/**
 * Notes an object directory that files are about to be linked from: the user's, or that of another repository in the
 * workspace. Such a file takes no space as long as it is there too. Call it under the workspace's lock.
 */
export function noteLender(own: PrivateRepository, objectsDirectory: string): void {
  const known = readLenders(own)
  if (known.includes(objectsDirectory)) return
  replaceOwnFile(own, notePath(own), JSON.stringify([...known, objectsDirectory]))
}

/** @returns whether a lender has the very file, by what it is called there */
export function lentFiles(own: PrivateRepository): (stats: Stats, name: string) => boolean {
  const lenders = readLenders(own).filter((directory) => lstatIn(directory, '') !== undefined)
  return (stats, name) => {
    // The link count says it too where nobody but us has one; but a lender's clones and other workspaces may have some.
    if (stats.nlink === 1) return false
    const at = lenders.findIndex((directory) => isSameFile(stats, lstatIn(directory, name)))
    // Most files are of one lender.
    if (at > 0) lenders.unshift(...lenders.splice(at, 1))
    return at !== -1
  }
}

function isSameFile(left: Stats, right: Stats | undefined): boolean {
  return left.ino === right?.ino && left.dev === right.dev
}

function lstatIn(directory: string, name: string): Stats | undefined {
  try {
    return lstatSync(join(directory, name), { throwIfNoEntry: false })
  } catch {
    return undefined
  }
}

function readLenders(own: PrivateRepository): string[] {
  try {
    return JSON.parse(readFileSync(notePath(own), 'utf8')) as string[]
  } catch {
    return []
  }
}

function notePath(own: PrivateRepository): string {
  return join(own.directory, 'lenders')
}
