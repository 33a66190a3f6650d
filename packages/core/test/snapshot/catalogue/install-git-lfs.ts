import { execFileSync } from 'node:child_process'
import { delimiter, join } from 'node:path'
import { provideDebianPackage } from '../../../../../scripts/debian-package.ts'

/** Makes the real git-lfs available, from Debian's packages when the machine has none. @throws when there is no way to */
export function installGitLfs(): void {
  if (hasGitLfs()) return
  const root = provideDebianPackage('git-lfs')
  process.env['PATH'] = `${join(root, 'usr/bin')}${delimiter}${process.env['PATH'] ?? ''}`
  if (!hasGitLfs()) throw new Error('git-lfs was installed, and git does not find it.')
}

function hasGitLfs(): boolean {
  try {
    execFileSync('git', ['lfs', 'version'], { stdio: 'pipe' })
    return true
  } catch {
    return false
  }
}
