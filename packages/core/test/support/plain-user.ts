import { spawn } from 'node:child_process'
import { chmodSync, chownSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'

const NOBODY = 65_534
const isRoot = process.getuid?.() === 0

/** A directory for {@link runAsPlainUser} to work in, gone after the test whatever its modes are then. */
export function plainUserDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'ws-plain-'))
  chmodSync(directory, 0o755)
  if (isRoot) chownSync(directory, NOBODY, NOBODY)
  onTestFinished(async () => {
    if (!isRoot) await run('chmod', ['-R', 'u+rwX', directory], {})
    rmSync(directory, { recursive: true, force: true, maxRetries: 3 })
  })
  return directory
}

/**
 * Runs a script of ours as a user without privileges, which every file keeps out that its mode keeps out: the user who runs
 * the tests, or nobody where that is root.
 * @returns what it prints @throws when it fails
 */
export function runAsPlainUser(script: string, parameters: readonly string[]): Promise<string> {
  const user = isRoot ? { uid: NOBODY, gid: NOBODY } : {}
  return run(process.execPath, ['--conditions=@ws/source', script, ...parameters], user)
}

async function run(command: string, parameters: readonly string[], user: object): Promise<string> {
  const child = spawn(command, parameters, {
    stdio: ['ignore', 'pipe', 'pipe'],
    ...user,
  })
  let [output, errors] = ['', '']
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => (output += chunk))
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => (errors += chunk))
  const code = await new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', resolve)
  })
  if (code === 0) return output
  throw new Error(`${command} ${parameters.join(' ')} ended with ${String(code)}: ${errors}`)
}
