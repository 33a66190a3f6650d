/**
 * Runs the tests, or those that the arguments name. Who is not root runs most of them as the user that they are; those that
 * need root get a user namespace, in which they may mount, and read what is their own whatever its mode.
 */
import { spawnSync } from 'node:child_process'
import { resolve } from 'node:path'

const filters = process.argv.slice(2)
const vitest = ['vitest', 'run', '--config', 'vitest.workspace.ts', ...filters]
const namespace = ['unshare', '--user', '--map-root-user', '--mount', '--propagation', 'private', '--']

/** Each test file has a process of its own, and all of them load the same modules. */
const shared = { ...process.env, NODE_COMPILE_CACHE: resolve('node_modules/.cache/node-compile') }

function run([command, ...parameters], part) {
  const environment = part === undefined ? shared : { ...shared, WS_TESTS: part }
  const result = spawnSync(command, parameters, {
    stdio: 'inherit',
    env: environment,
    shell: process.platform === 'win32',
  })
  return result.status ?? 1
}

function runInParts() {
  // A filter may match in one part only.
  const some = filters.length > 0 ? ['--passWithNoTests'] : []
  const status = run([...vitest, ...some], 'as-user')
  if (run([...namespace, 'true']) !== 0) {
    console.error(
      'Some tests mount file systems and were not run: there are no user namespaces for this user here. Allow them (as root: sysctl kernel.unprivileged_userns_clone=1 kernel.apparmor_restrict_unprivileged_userns=0), or run the tests as root, for example in a container.',
    )
    return 1
  }
  return Math.max(status, run([...namespace, ...vitest, ...some], 'as-root'))
}

process.exitCode = (process.getuid?.() ?? 0) === 0 ? run(vitest) : runInParts()
