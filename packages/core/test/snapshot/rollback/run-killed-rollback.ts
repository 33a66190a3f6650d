import { spawn } from 'node:child_process'
import { once } from 'node:events'
import type { RollbackOptions } from '../../../src/snapshot/snapshot-backend.ts'
import type { Snapshot } from '../../../src/snapshot/snapshot.ts'
import type { BackendName, RollbackFixture } from './rollback-fixture.ts'

/**
 * @param script `killed-rollback.ts`, built
 * @returns how many steps it took when it came to its end, `null` when it was killed at the given one
 */
export async function runKilledRollback(
  script: string,
  name: BackendName,
  { path, stateDirectory }: Pick<RollbackFixture, 'path' | 'stateDirectory'>,
  request: { readonly target: Snapshot; readonly options?: RollbackOptions },
  step: number,
): Promise<number | null> {
  const parameters = [name, path, stateDirectory, JSON.stringify({ options: {}, ...request }), `${step}`]
  const child = spawn(process.execPath, [script, ...parameters], {
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
