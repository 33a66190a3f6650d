import { mkdirSync } from 'node:fs'
import { mount } from './mount.ts'

/** A file system of its own that is soon full. */
export function mountSmallDisk(directory: string, mebibytes: number): string {
  mkdirSync(directory, { recursive: true })
  mount(directory, '-t', 'tmpfs', '-o', `size=${mebibytes}m`, 'tmpfs')
  return directory
}
