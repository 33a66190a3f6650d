import { execFileSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { onTestFinished } from 'vitest'

/** A file system of its own that is soon full. Mounting needs root, as in CI and in containers. */
export function mountSmallDisk(directory: string, mebibytes: number): string {
  mkdirSync(directory, { recursive: true })
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${mebibytes}m`, 'tmpfs', directory])
  onTestFinished(() => {
    execFileSync('umount', ['--lazy', directory])
  })
  return directory
}
