/**
 * The whole story on a real repository: a real child process edits it under `executeRun`, a second one fails and is
 * rolled back, and the result is saved to a store and loaded into another directory.
 *
 * Run it with `npm run demo`. It works in a temporary directory and removes it at the end.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, realpath, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { decodePatch, executeRun, Workspace, type RunContext } from '@ws/core'
import { localStore } from '@ws/store-local'
import { compareDirectories } from './compare-directories.ts'
import { createRepository, repositoryState } from './create-repository.ts'
import { printChanges, printEvent, printHead, say, title } from './print.ts'

const directory = await realpath(await mkdtemp(join(tmpdir(), 'ws-demo-')))
try {
  await demonstrate()
} finally {
  await rm(directory, { recursive: true, force: true })
}

async function demonstrate(): Promise<void> {
  title('A git repository with history')
  const path = join(directory, 'repository')
  createRepository(path)
  say(`${path}\n${repositoryState(path).log}`)

  const store = localStore({ root: join(directory, 'store') })
  const workspace = new Workspace({ id: 'demo', path, store, stateDir: join(directory, 'state') })

  title('A run: an agent in its own process edits, creates, deletes, renames and commits')
  const good = await executeRun(workspace, (run) => runAgentProcess(run, 'work'), { onEvent: printEvent })
  if (good.workspace?.diff == null) throw new Error('The run has no diff.', { cause: good.workspace?.error })
  say(`\nstatus: ${good.status}, the agent said: ${JSON.stringify(good.value)}\n`)
  printChanges(good.workspace.diff)
  printHead(decodePatch(good.workspace.diff), 24)

  title('A run that fails, rolled back')
  const before = repositoryState(path)
  const bad = await executeRun(workspace, (run) => runAgentProcess(run, 'break'), {
    onEvent: printEvent,
    rollbackOnFailure: true,
  })
  const { rollback, diff } = bad.workspace ?? {}
  if (rollback === undefined || diff == null)
    throw new Error('Nothing was rolled back.', { cause: bad.workspace?.error })
  say(`\nstatus: ${bad.status}, error: ${String(bad.error)}\n`)
  printChanges(diff)
  const after = repositoryState(path)
  say('\nproof:')
  check('a capture made after the rollback equals the one made before the run', rollback.verified)
  check(
    'HEAD, branches and the staged files are as they were',
    after.head === before.head && after.status === before.status,
  )
  check('every file of .git has the bytes that it had', after.gitDirectory === before.gitDirectory)
  say(`the undo can be undone: workspace.rollback(guard) with guard ${rollback.guard?.id}`)

  title('Saved to a store, loaded into another directory')
  const { version, report } = await workspace.save('after the demo run')
  say(`saved version ${version.version}: ${version.entries} entries in ${report.uploadedBytes} bytes`)
  const copy = new Workspace({
    id: 'demo',
    path: join(directory, 'copy'),
    store,
    stateDir: join(directory, 'state'),
  })
  const loaded = await copy.load()
  say(`loaded version ${loaded?.version.version} into ${copy.path}`)
  const { compared, differences } = await compareDirectories(path, copy.path)
  check(
    `all ${compared} entries are the same: bytes, modes, times, links, .git included`,
    differences.length === 0,
  )
  for (const difference of differences) say(`  ${difference}`)
}

async function runAgentProcess({ path, signal }: RunContext, task: string): Promise<string> {
  const agent = spawn(process.execPath, [join(import.meta.dirname, 'agent.mjs'), task], { cwd: path, signal })
  let output = ''
  let complaint = ''
  agent.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
  agent.stderr.on('data', (chunk: Buffer) => (complaint += chunk.toString()))
  const [code] = (await once(agent, 'close')) as [number | null]
  if (code !== 0) throw new Error(`the agent ended with code ${code}: ${complaint.trim()}`)
  return output.trim()
}

function check(claim: string, isTrue: boolean): void {
  say(`  ${isTrue ? '✓' : '✗'} ${claim}`)
  if (!isTrue) process.exitCode = 1
}
