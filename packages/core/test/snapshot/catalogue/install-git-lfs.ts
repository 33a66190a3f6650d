import { execFileSync } from 'node:child_process'

/** Makes the real git-lfs available, from Debian's packages when the machine has none. @throws when there is no way to */
export function installGitLfs(): void {
  if (hasGitLfs()) return
  const apt = (...args: string[]) =>
    execFileSync('apt-get', ['-o', 'DPkg::Lock::Timeout=120', '-qq', ...args], {
      stdio: 'pipe',
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    })
  const install = () => apt('install', '--yes', '--no-install-recommends', 'git-lfs')
  try {
    try {
      install()
    } catch {
      apt('update')
      install()
    }
  } catch (error) {
    throw new Error(
      'This test needs git-lfs. Install it (apt-get install git-lfs), then run the tests again.',
      {
        cause: error,
      },
    )
  }
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
