import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { mount } from './mount.ts'
import { isNamespace } from './plain-user.ts'
import { mountSmallDisk } from './small-disk.ts'

/**
 * No directory of a lower layer can be renamed. In a container without root, links and hard-linked files get other inodes
 * besides when they are changed; nobody who is not root can mount the other kind.
 */
const containers: Readonly<Record<string, string>> = {
  ...(isNamespace ? {} : { 'of root': 'redirect_dir=off' }),
  'without root': 'userxattr',
}

export const containerKinds: readonly string[] = Object.keys(containers)

/**
 * A directory as a container sees it: what is filled in beforehand lies in a lower layer.
 * @param kind one of {@link containerKinds}
 * @param upperMebibytes room for what changes; as much as there is by default
 */
export function mountOverlay(
  base: string,
  fill: (lower: string) => void,
  kind: string,
  upperMebibytes?: number,
): string {
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
  mount(merged, '-t', 'overlay', '-o', `${layers},${containers[kind]}`, 'overlay')
  return merged
}
