import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { runCommand } from './command-runner.ts'
import { shell } from './shell.ts'

const child = fileURLToPath(new URL('./workspace-child.ts', import.meta.url))
const packages = fileURLToPath(new URL('../..', import.meta.url))

export interface ChildTask {
  readonly task: 'create' | 'extract' | 'save' | 'load' | 'hash'
  readonly directory: string
  /** The archive, the store or, for `hash`, the state directory. */
  readonly to: string
  readonly stateDirectory?: string
}

/** Processes of their own run what is published: stripping types off the sources would count as their start and memory. */
export async function buildPackages(
  log: (line: string) => void,
  names: readonly string[] = ['core', 'store-local'],
): Promise<void> {
  for (const name of names) {
    const directory = join(packages, name)
    if (isBuilt(directory)) continue
    log(`building ${name} ...`)
    await shell('npm run --silent build', directory)
  }
}

/** Runs one task in a process of its own and returns the most memory that it ever had, in megabytes. */
export async function runWorkspaceChild(given: ChildTask): Promise<number> {
  const { task, directory, to, stateDirectory = '' } = given
  const parameters = [child, task, directory, to, stateDirectory]
  const run = { file: process.execPath, parameters, directory: packages, environment: {}, wantsOutput: true }
  const { code, output, complaint } = await runCommand(run)
  if (code !== 0) throw new Error(`The process that was to ${task} ended with ${code}: ${complaint}`)
  return Number(output) / 1024
}

function isBuilt(directory: string): boolean {
  const built = modifiedAt(join(directory, 'dist/index.js'))
  const sources = readdirSync(join(directory, 'src'), { recursive: true, encoding: 'utf8' })
  return ['tsup.config.ts', ...sources.map((file) => join('src', file))].every(
    (file) => modifiedAt(join(directory, file)) <= built,
  )
}

function modifiedAt(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0
}
