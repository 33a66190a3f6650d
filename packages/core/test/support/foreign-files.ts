import { execFileSync } from 'node:child_process'
import { readdirSync, statSync, writeFileSync } from 'node:fs'
import { mount } from './mount.ts'
import { isNamespace } from './plain-user.ts'

const STRANGER = '12345:12345'
/** Where every system has a directory of root that is empty, as a rule. */
const ofRoot = ['/srv', '/media', '/mnt', '/usr/local/games', '/usr/local/src', '/var/local', '/var/opt']

/** Makes a device. Where none may be made, the machine's own one is seen there. */
export function makeDevice(path: string): void {
  if (!isNamespace) {
    execFileSync('mknod', [path, 'c', '1', '5'])
    return
  }
  writeFileSync(path, '')
  mount(path, '--bind', '/dev/zero')
}

/** Gives a directory to another user. Where none can be had, root's own directory is laid over it, with what it holds. */
export function giveToStranger(directory: string): void {
  if (!isNamespace) {
    execFileSync('chown', ['-R', STRANGER, directory])
    return
  }
  const empty = ofRoot.find((path) => isEmptyAndForeign(path))
  if (empty === undefined)
    throw new Error(`This test needs an empty directory of another user: one of ${ofRoot.join(', ')}.`)
  mount(directory, '-t', 'overlay', '-o', `lowerdir=${empty}:${directory}`, 'overlay')
}

function isEmptyAndForeign(path: string): boolean {
  try {
    return statSync(path).uid !== process.getuid?.() && readdirSync(path).length === 0
  } catch {
    return false
  }
}
