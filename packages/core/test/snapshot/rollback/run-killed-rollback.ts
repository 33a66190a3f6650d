import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import type { RollbackOptions } from '../../../src/snapshot/snapshot-backend.ts'
import type { Snapshot } from '../../../src/snapshot/snapshot.ts'
import { buildScript } from '../../support/build-script.ts'
import type { BackendName, RollbackFixture } from './rollback-fixture.ts'

let script: Promise<string> | undefined

/** @returns how many steps it took when it came to its end, `null` when it was killed at the given one */
export async function runKilledRollback(
  name: BackendName,
  { path, stateDirectory }: Pick<RollbackFixture, 'path' | 'stateDirectory'>,
  request: { readonly target: Snapshot; readonly options?: RollbackOptions },
  step: number,
): Promise<number | null> {
  script ??= buildScript(join(import.meta.dirname, 'killed-rollback.ts'))
  const parameters = [name, path, stateDirectory, JSON.stringify({ options: {}, ...request }), `${step}`]
  const child = spawn(process.execPath, [await script, ...parameters], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  let errors = ''
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()))
  const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null]
  if (signal === 'SIGKILL') return null
  if (code !== 0) throw new Error(`the rollback failed in its process: ${errors}`)
  return Number(output)
}
