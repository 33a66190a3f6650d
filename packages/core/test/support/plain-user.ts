import { spawn } from 'node:child_process'
import { chmodSync, chownSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'

const NOBODY = 65_534
const isRoot = process.getuid?.() === 0
/** Whether this is root of a user namespace with one user in it, as who is not root runs some of the tests. */
export const isNamespace = isRoot && hasOneUser()

/** A command as `node:child_process` takes it. */
export interface UserCommand {
  readonly command: string
  readonly parameters: readonly string[]
  readonly user: { readonly uid?: number; readonly gid?: number }
}

/**
 * Runs a command as a user without privileges, whom every mode keeps out: the user who runs the tests, or nobody where that
 * is root.
 */
export function asPlainUser(command: string, parameters: readonly string[]): UserCommand {
  // In a namespace of its own without users, it is only the owner of its files.
  if (isNamespace)
    return { command: 'unshare', parameters: ['--user', '--', command, ...parameters], user: {} }
  return { command, parameters, user: isRoot ? { uid: NOBODY, gid: NOBODY } : {} }
}

/** Makes paths that user's own, if they are not. */
export function giveToPlainUser(...paths: readonly string[]): void {
  if (isRoot && !isNamespace) for (const path of paths) chownSync(path, NOBODY, NOBODY)
}

/** A directory for {@link runAsPlainUser} to work in, gone after the test whatever its modes are then. */
export function plainUserDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'ws-plain-'))
  chmodSync(directory, 0o755)
  giveToPlainUser(directory)
  onTestFinished(async () => {
    if (!isRoot) await run({ command: 'chmod', parameters: ['-R', 'u+rwX', directory], user: {} })
    rmSync(directory, { recursive: true, force: true, maxRetries: 3 })
  })
  return directory
}

/** Runs a script of ours, see {@link asPlainUser}. @returns what it prints @throws when it fails */
export function runAsPlainUser(script: string, parameters: readonly string[]): Promise<string> {
  return run(asPlainUser(process.execPath, ['--conditions=@ws/source', script, ...parameters]))
}

async function run({ command, parameters, user }: UserCommand): Promise<string> {
  const child = spawn(command, parameters, { stdio: ['ignore', 'pipe', 'pipe'], ...user })
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

function hasOneUser(): boolean {
  if (process.platform !== 'linux') return false
  const [, , count] = readFileSync('/proc/self/uid_map', 'utf8').trim().split(/\s+/)
  return count === '1'
}
