import { fork, type ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import type { AzureTestServer } from './azure-test-server.ts'
import { LOOPBACK } from './loopback.ts'

const ACCOUNT = 'wstest'

/** Starts Microsoft's emulator of Azure Blob Storage on loopback, in memory, in a process of its own. */
export async function startAzurite(): Promise<AzureTestServer> {
  const program = createRequire(import.meta.url).resolve('azurite/dist/src/blob/main.js')
  const accountKey = randomBytes(64).toString('base64')
  const child = fork(
    program,
    [
      '--blobHost',
      LOOPBACK,
      '--blobPort',
      '0',
      '--inMemoryPersistence',
      '--silent',
      '--disableTelemetry',
      '--skipApiVersionCheck',
      // By default it ends connections after five idle seconds, at the very moment at which a slow machine may use them again.
      '--blobKeepAliveTimeout',
      '600',
    ],
    {
      execArgv: ['--require', fileURLToPath(new URL('exit-with-parent.cjs', import.meta.url))],
      env: { ...process.env, AZURITE_ACCOUNTS: `${ACCOUNT}:${accountKey}` },
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    },
  )
  const address = await listeningAddress(child)
  return {
    name: 'azurite',
    url: `${address}/${ACCOUNT}`,
    account: ACCOUNT,
    accountKey,
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return
      const exited = once(child, 'exit')
      child.kill('SIGKILL')
      await exited
    },
  }
}

function listeningAddress(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let output = ''
    const read = (chunk: Buffer): void => {
      output += chunk.toString()
      const address = /successfully listens? (?:on|at) (http:\/\/[\d.]+:\d+)/.exec(output)?.[1]
      if (address !== undefined) resolve(address)
    }
    child.stdout?.on('data', read)
    child.stderr?.on('data', read)
    child.once('error', reject)
    child.once('exit', () => reject(new Error(`azurite ended before it listened: ${output}`)))
  })
}
