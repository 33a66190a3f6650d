import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { mount } from './mount.ts'
import { mountSmallDisk } from './small-disk.ts'

/**
 * A directory as a container sees it: what is filled in beforehand lies in a lower layer.
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
  // As in a container without root: no directory of a lower layer can be renamed, and links get other inodes.
  mount(merged, '-t', 'overlay', '-o', `${layers},userxattr`, 'overlay')
  return merged
}
