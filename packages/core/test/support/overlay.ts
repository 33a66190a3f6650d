import { execFileSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'

/**
 * A directory as a container sees it: what is filled in beforehand lies in a lower layer. Mounting needs root, as in CI
 * and in containers.
 */
export function mountOverlay(base: string, fill: (lower: string) => void): string {
  const [lower = '', upper = '', work = '', merged = ''] = ['lower', 'upper', 'work', 'merged'].map(
    (part) => {
      const path = join(base, part)
      mkdirSync(path, { recursive: true })
      return path
    },
  )
  fill(lower)
  const layers = `lowerdir=${lower},upperdir=${upper},workdir=${work}`
  execFileSync('mount', ['-t', 'overlay', '-o', `${layers},redirect_dir=off`, 'overlay', merged])
  onTestFinished(() => {
    execFileSync('umount', ['--lazy', merged])
  })
  return merged
}
