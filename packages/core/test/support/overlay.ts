import { execFileSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { mountSmallDisk } from './small-disk.ts'

/**
 * A directory as a container sees it: what is filled in beforehand lies in a lower layer. Mounting needs root, as in CI
 * and in containers.
 * @param upperMebibytes room for what changes; as much as there is by default
 */
export function mountOverlay(base: string, fill: (lower: string) => void, upperMebibytes?: number): string {
  const place = (part: string): string => {
    const path = join(base, part)
    mkdirSync(path, { recursive: true })
    return path
  }
  const [lower, merged] = [place('lower'), place('merged')]
  if (upperMebibytes !== undefined) mountSmallDisk(join(base, 'changes'), upperMebibytes)
  const [upper, work] = [place('changes/upper'), place('changes/work')]
  fill(lower)
  const layers = `lowerdir=${lower},upperdir=${upper},workdir=${work}`
  execFileSync('mount', ['-t', 'overlay', '-o', `${layers},redirect_dir=off`, 'overlay', merged])
  onTestFinished(() => {
    execFileSync('umount', ['--lazy', merged])
  })
  return merged
}
