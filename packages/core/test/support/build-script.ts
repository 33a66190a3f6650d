import { rmSync } from 'node:fs'
import { basename, join } from 'node:path'
import { build } from 'tsup'
import { afterAll } from 'vitest'

const packageDirectory = join(import.meta.dirname, '../..')
const workers = [
  'snapshot/hash/capture-worker.ts',
  'snapshot/git/walk/stat-worker.ts',
  'bundle/archive/bundle-worker.ts',
  'bundle/engine/load/restore-worker.ts',
  'bundle/engine/save/reading-worker.ts',
  'bundle/engine/save/save-worker.ts',
]

const built: string[] = []

afterAll(() => {
  for (const directory of built) rmSync(directory, { recursive: true, force: true })
})

/**
 * Builds a script as the packages are built, for tests that start it in hundreds of processes: loading several hundred
 * sources takes each of them four times as long.
 * @param script absolute; built once for each test file
 * @returns what to start in its place
 */
export async function buildScript(script: string): Promise<string> {
  const name = basename(script, '.ts')
  // Test files that run at the same time build it each for themselves.
  const outDir = join(packageDirectory, 'node_modules/.cache/built-scripts', `${name}-${process.pid}`)
  built.push(outDir)
  await build({
    entry: [script, ...workers.map((worker) => join(packageDirectory, 'src', worker))],
    outDir,
    format: 'esm',
    target: 'node22',
    noExternal: [/^@ws\//],
    // Found from below the package's own modules.
    external: [/^[a-z@](?!ws\/)/],
    config: false,
    silent: true,
    esbuildOptions(options) {
      options.conditions = ['@ws/source']
      options.entryNames = '[name]'
    },
  })
  return join(outDir, `${name}.js`)
}
