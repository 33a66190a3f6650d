import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, expect, it } from 'vitest'

const run = promisify(execFile)
const examples = join(import.meta.dirname, '..')

let folder: string
let stateDirectory: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'ws-examples-'))
  stateDirectory = mkdtempSync(join(tmpdir(), 'ws-examples-state-'))
})
afterEach(() => {
  for (const path of [folder, stateDirectory]) rmSync(path, { recursive: true, force: true })
})

function environment(more: Record<string, string> = {}): NodeJS.ProcessEnv {
  return {
    PATH: process.env['PATH'],
    HOME: folder,
    TMPDIR: folder,
    XDG_STATE_HOME: join(folder, 'state'),
    ...more,
  }
}

async function runExample(name: string, more: Record<string, string> = {}): Promise<string> {
  const { stdout } = await run(process.execPath, ['--conditions=@ws/source', join(examples, name)], {
    cwd: folder,
    env: environment(more),
  })
  return stdout
}

it('the demo proves all that it claims, and leaves nothing behind', async () => {
  const output = await runExample('demo/main.ts')
  expect(output).not.toContain('✗')
  expect(output.match(/✓/g)).toHaveLength(4)
  expect(output).toContain('workspace_snapshot_taken')
  expect(output).toMatch(/R docs\/usage\.md → docs\/guide\.md/)
  expect(output).toMatch(/A assets\/pixel\.png|M assets\/pixel\.png/)
  expect(output).not.toContain('\u001b[')
  expect((await run('ls', ['-A', folder])).stdout).toBe('')
})

it('the store is chosen by the environment', async () => {
  expect(await runExample('store-by-environment.ts')).toContain('version 1 is in the memory store')
  expect(await runExample('store-by-environment.ts', { WS_STORE: `file://${folder}/store` })).toContain(
    'version 1 is in the local store',
  )
  expect(existsSync(join(folder, 'store'))).toBe(true)
  await expect(runExample('store-by-environment.ts', { WS_STORE: 'gopher://x' })).rejects.toMatchObject({
    stderr: expect.stringContaining('gopher') as string,
  })
})

it('the custom store passes the contract', async () => {
  expect(await runExample('custom-store.ts')).toMatch(/^\d+ checks passed, 0 failed/)
})

it('a store is checked by its URL', async () => {
  const output = await runExample('check-store.ts')
  expect(output).toMatch(/^memory: sound; \d+ passed, 0 failed/)
  expect(output).toContain('not shown  an outage is UNAVAILABLE')
  expect(output).toContain('createIfAbsent: claims atomic, found atomic')
})

it('the harness runs a command, and undoes one that fails', async () => {
  await run('git', ['init', '--quiet'], { cwd: folder })
  const server = spawn(process.execPath, ['--conditions=@ws/source', join(examples, 'harness.ts'), '.'], {
    cwd: folder,
    env: environment({ XDG_STATE_HOME: stateDirectory, HOME: '/nonexistent' }),
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  try {
    const [line] = (await once(server.stdout, 'data')) as [Buffer]
    const { port } = JSON.parse(line.toString()) as { port: number }
    const post = async (body: string) =>
      (await (await fetch(`http://127.0.0.1:${port}`, { method: 'POST', body })).json()) as Record<
        string,
        unknown
      >
    expect(await post('echo hello > hello.txt')).toMatchObject({
      status: 'completed',
      workspace: { diff: { changedPaths: ['hello.txt'] } },
    })
    expect(await post('rm hello.txt; echo x > other.txt; exit 3')).toMatchObject({
      status: 'failed',
      error: { message: 'exit code 3' },
      workspace: { rollback: { verified: true } },
    })
    expect(readFileSync(join(folder, 'hello.txt'), 'utf8')).toBe('hello\n')
    expect(existsSync(join(folder, 'other.txt'))).toBe(false)
  } finally {
    server.kill()
    await once(server, 'close')
  }
})
