import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process'
import { isAbsolute, delimiter } from 'node:path'
import { WorkspaceError } from '../../../errors.ts'
import { errnoOf } from '../../../filesystem/filesystem-error.ts'

/** Every call of git goes through this file, in an environment that only this file makes. */
export interface GitCall {
  readonly args: readonly string[]
  readonly cwd: string
  /**
   * `private`: no configuration but the private repository's, nothing of the user's or the agent's is even read.
   * `user`: configuration is read as data, by commands that start none of what it names.
   */
  readonly configuration: 'private' | 'user'
  /** `GIT_*` variables of this call. @default none */
  readonly environment?: Readonly<Record<string, string>> | undefined
  /** @default nothing */
  readonly input?: Uint8Array | undefined
  readonly signal?: AbortSignal | undefined
  /** Exit codes that are an answer, not a failure. @default [0] */
  readonly exitCodes?: readonly number[] | undefined
  /** After which git is stopped. @default 15 minutes for `private` calls, 2 minutes for `user` ones */
  readonly deadlineMs?: number | undefined
}

/** What they ask takes milliseconds, unless a pipe is where git reads: it waits for ever for the other end of one. */
const USER_DEADLINE_MS = 2 * 60_000
const PRIVATE_DEADLINE_MS = 15 * 60_000
const MAX_ERROR_BYTES = 8192
const passedThrough = ['HOME', 'XDG_CONFIG_HOME', 'TMPDIR', 'TEMP', 'TMP', 'SystemRoot', 'USERPROFILE']

/** Command-line settings win over every configuration file. None of them starts a program. */
const hardening = [
  'core.hooksPath=/dev/null',
  'core.fsmonitor=false',
  'core.untrackedCache=false',
  'core.quotePath=true',
  'core.precomposeUnicode=false',
  'core.pager=cat',
  'gc.auto=0',
  'maintenance.auto=false',
  'protocol.allow=never',
]

const hardeningFlags: readonly string[] = [
  '--no-pager',
  '--no-optional-locks',
  ...hardening.flatMap((setting) => ['-c', setting]),
]

/** Attributes could name conversions; the private calls see none, neither a file's nor the workspace's. */
const privateFlags = ['-c', 'core.attributesFile=/dev/null']

/** Allow-list: what the caller's environment says about git, its configuration or its helpers does not get in. */
export function gitEnvironment(call: Pick<GitCall, 'configuration' | 'environment'>): Record<string, string> {
  const environment: Record<string, string> = {
    PATH: (process.env['PATH'] ?? '').split(delimiter).filter(isAbsolute).join(delimiter),
    LC_ALL: 'C',
    GIT_OPTIONAL_LOCKS: '0',
    GIT_LITERAL_PATHSPECS: '1',
    GIT_TERMINAL_PROMPT: '0',
    GIT_NO_LAZY_FETCH: '1',
    // For versions of git that do not know the line above; no configuration can say otherwise.
    GIT_ALLOW_PROTOCOL: 'none',
    GIT_NO_REPLACE_OBJECTS: '1',
    GIT_ATTR_NOSYSTEM: '1',
  }
  for (const name of passedThrough) {
    const value = process.env[name]
    if (value !== undefined) environment[name] = value
  }
  if (call.configuration === 'private') {
    environment['GIT_CONFIG_NOSYSTEM'] = '1'
    environment['GIT_CONFIG_GLOBAL'] = '/dev/null'
  }
  return Object.assign(environment, call.environment)
}

/** Runs git and returns all it prints, as bytes. */
export async function runGit(call: GitCall): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  for await (const chunk of streamGit(call)) chunks.push(chunk)
  return Buffer.concat(chunks)
}

/**
 * Runs git and passes on what it prints, as bytes and with back pressure. Leaving the loop early, an abort and the
 * deadline kill git's whole process group.
 * @throws `TIMEOUT`, `UNSUPPORTED` when git is not installed, `UNAVAILABLE` with git's own message when it fails.
 */
export async function* streamGit(call: GitCall): AsyncGenerator<Uint8Array, void, void> {
  const { signal, deadlineMs = call.configuration === 'user' ? USER_DEADLINE_MS : PRIVATE_DEADLINE_MS } = call
  signal?.throwIfAborted()
  const child = startGit(call)
  const errorText = collectErrorText(child.stderr)
  const ended = new Promise<number | NodeJS.Signals>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code, killedBy) => resolve(code ?? killedBy ?? 'SIGKILL'))
  })
  ended.catch(() => {})
  const kill = () => killGroup(child.pid)
  let isLate = false
  const deadline = setTimeout(() => {
    isLate = true
    kill()
  }, deadlineMs)
  deadline.unref()
  signal?.addEventListener('abort', kill, { once: true })
  child.stdin.on('error', () => {})
  child.stdin.end(call.input)
  let isFinished = false
  try {
    for await (const chunk of child.stdout) yield chunk as Uint8Array
    const exit = await ended.catch((error: unknown) => {
      throw notStarted(error)
    })
    isFinished = true
    signal?.throwIfAborted()
    if (isLate) throw tooLong(describe(call), call.cwd, deadlineMs)
    if (!(call.exitCodes ?? [0]).includes(exit as number)) throw failure(call, exit, errorText())
  } finally {
    clearTimeout(deadline)
    signal?.removeEventListener('abort', kill)
    if (!isFinished) kill()
  }
}

function startGit(call: GitCall): ChildProcessWithoutNullStreams {
  const flags = call.configuration === 'private' ? [...hardeningFlags, ...privateFlags] : hardeningFlags
  try {
    return spawn('git', [...flags, ...call.args], {
      cwd: call.cwd,
      env: gitEnvironment(call),
      stdio: ['pipe', 'pipe', 'pipe'],
      detached: true,
      windowsHide: true,
    })
  } catch (error) {
    if (errnoOf(error) !== 'ERR_ACCESS_DENIED') throw error
    throw new WorkspaceError(
      'ACCESS_DENIED',
      'The permission model of Node does not let git start. Start Node with --allow-child-process, or take snapshots by the strategy "hash" or "bundle".',
      { cause: error },
    )
  }
}

/**
 * For calls whose answer is plain text (ids, versions, settings).
 * @returns what git printed, or `null` when it failed
 * @throws `TIMEOUT`, `UNSUPPORTED` when git is not installed
 */
export async function askGit(
  call: Pick<GitCall, 'args' | 'cwd' | 'environment' | 'signal' | 'deadlineMs'>,
): Promise<{ readonly text: string | null; readonly failure: string }> {
  const { cwd, args, signal, deadlineMs = USER_DEADLINE_MS } = call
  const environment = gitEnvironment({ configuration: 'user', environment: call.environment })
  const allowEnvironment = Object.keys(environment).filter((name) => name.startsWith('GIT_'))
  // Loading it takes longer than most calls; a workspace whose layout is remembered never needs it.
  const { simpleGit } = await import('simple-git')
  const late = new AbortController()
  const deadline = setTimeout(() => late.abort(), deadlineMs)
  deadline.unref()
  try {
    const git = simpleGit({
      baseDir: cwd,
      allowEnvironment,
      abort: signal === undefined ? late.signal : AbortSignal.any([signal, late.signal]),
      unsafe: {
        allowUnsafeHooksPath: true,
        allowUnsafeFsMonitor: true,
        allowUnsafePager: true,
        allowUnsafeProtocolOverride: true,
      },
    })
    return { text: await git.env(environment).raw([...hardeningFlags, ...args]), failure: '' }
  } catch (error) {
    signal?.throwIfAborted()
    if (late.signal.aborted)
      throw tooLong(`git ${args.find((argument) => /^[a-z]/.test(argument))}`, cwd, deadlineMs)
    const message = error instanceof Error ? error.message : String(error)
    if (message.includes('ENOENT') && message.includes('spawn')) throw notStarted(error)
    return { text: null, failure: message }
  } finally {
    clearTimeout(deadline)
  }
}

function tooLong(command: string, cwd: string, deadlineMs: number): WorkspaceError {
  return new WorkspaceError(
    'TIMEOUT',
    `${command} in ${cwd} did not end within ${Math.round(deadlineMs / 1000)} s and was stopped. If the machine is not busy, look whether .git, its config or a file that this includes is a pipe.`,
    { details: { command, path: cwd } },
  )
}

function killGroup(pid: number | undefined): void {
  if (pid === undefined) return
  try {
    process.kill(-pid, 'SIGKILL')
  } catch {
    // It has ended.
  }
}

function collectErrorText(stream: NodeJS.ReadableStream): () => string {
  let text = ''
  stream.on('data', (chunk: Buffer) => {
    if (text.length < MAX_ERROR_BYTES) text += chunk.toString('latin1')
  })
  return () => text.slice(0, MAX_ERROR_BYTES).trim()
}

function describe(call: GitCall): string {
  const { args } = call
  const command = args.find((argument, at) => !argument.startsWith('-') && args[at - 1] !== '-c')
  return `git ${command ?? ''}`.trim()
}

function failure(call: GitCall, exit: number | NodeJS.Signals, text: string): WorkspaceError {
  return new WorkspaceError(
    'UNAVAILABLE',
    `${describe(call)} failed (${exit})${text === '' ? '' : `: ${text}`}. Correct what it names, then try again.`,
    { details: { command: describe(call), exit: String(exit) } },
  )
}

function notStarted(error: unknown): WorkspaceError {
  return new WorkspaceError(
    'UNSUPPORTED',
    'git could not be started. Install git 2.31 or newer and put it on the PATH, or take snapshots by the strategy "hash" or "bundle".',
    {
      cause: error,
    },
  )
}
