import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'

/**
 * Makes a Debian package available: root installs it; for anybody else it is unpacked with what the machine lacks of its
 * dependencies, once for the repository, and nothing of the machine changes.
 * @returns where its `usr/bin` lies
 * @throws when there is no way to, saying what to do
 */
export function provideDebianPackage(name: string): string {
  try {
    if (process.getuid?.() !== 0) return unpack(name)
    const install = (): void => apt('install', '--yes', '--no-install-recommends', name)
    try {
      install()
    } catch {
      apt('update')
      install()
    }
    return '/'
  } catch (error) {
    throw new Error(
      `These tests need ${name}. Install it (as root: apt-get install ${name}), then run the tests again.`,
      { cause: error },
    )
  }
}

function unpack(name: string): string {
  const cache = join(import.meta.dirname, '../node_modules/.cache/debian')
  const unpacked = join(cache, name)
  if (existsSync(unpacked)) return unpacked
  mkdirSync(cache, { recursive: true })
  const work = mkdtempSync(join(cache, 'new-'))
  try {
    for (const place of ['lists/partial', 'archives/partial', 'root'])
      mkdirSync(join(work, place), { recursive: true })
    const own = [
      `Dir::State::Lists=${work}/lists`,
      `Dir::Cache=${work}`,
      `Dir::Cache::archives=${work}/archives`,
      'Debug::NoLocking=1',
    ].flatMap((setting) => ['-o', setting])
    apt(...own, 'update')
    apt(...own, 'install', '--yes', '--no-install-recommends', '--download-only', name)
    for (const file of readdirSync(join(work, 'archives')))
      if (file.endsWith('.deb'))
        execFileSync('dpkg', ['-x', join(work, 'archives', file), join(work, 'root')], { stdio: 'pipe' })
    if (!existsSync(unpacked)) renameSync(join(work, 'root'), unpacked)
    return unpacked
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}

function apt(...parameters: readonly string[]): void {
  execFileSync('apt-get', ['-o', 'DPkg::Lock::Timeout=120', '-qq', ...parameters], {
    stdio: 'pipe',
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
  })
}
