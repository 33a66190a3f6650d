/**
 * Runs a script of package.json on a machine that has only Node, npm and git:
 * fetches the pinned pnpm, installs with the frozen lockfile (which brings the pinned Node),
 * then runs the script with that Node first on the PATH. Plain JavaScript that Node 20 can run.
 */
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const PNPM_VERSION = '12.21.0'
const root = dirname(dirname(fileURLToPath(import.meta.url)))
const [script, ...scriptArguments] = process.argv.slice(2)
const stamp = join(root, 'node_modules', '.installed-lockfile')
const lockfileHash = createHash('sha256')
  .update(readFileSync(join(root, 'pnpm-lock.yaml')))
  .digest('hex')

function pnpm(arguments_, environment = process.env) {
  const result = spawnSync('npx', ['--yes', `pnpm@${PNPM_VERSION}`, ...arguments_], {
    cwd: root,
    stdio: 'inherit',
    env: environment,
    shell: process.platform === 'win32',
  })
  if (result.error) throw result.error
  if (result.status !== 0) process.exit(result.status ?? 1)
}

if (!existsSync(stamp) || readFileSync(stamp, 'utf8') !== lockfileHash) {
  pnpm(['install', '--frozen-lockfile', '--prefer-offline'])
  writeFileSync(stamp, lockfileHash)
}
const pinnedNode = join(root, 'node_modules', 'node', 'bin')
pnpm(['run', script, ...scriptArguments], {
  ...process.env,
  PATH: [pinnedNode, join(root, 'node_modules', '.bin'), process.env.PATH].join(delimiter),
})
