import { execFile } from 'node:child_process'
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const child = fileURLToPath(new URL('./workspace-child.ts', import.meta.url))
const packages = fileURLToPath(new URL('../..', import.meta.url))

export interface ChildTask {
  readonly task: 'create' | 'extract' | 'save' | 'load' | 'hash'
  readonly directory: string
  /** The archive, the store or, for `hash`, the state directory. */
  readonly to: string
  readonly stateDirectory?: string
}

/** Whether processes of their own run what is published; stripping types off the sources would count as their start. */
export const isBuilt = ['core', 'store-local'].every((name) => {
  const built = modifiedAt(join(packages, name, 'dist/index.js'))
  const sources = join(packages, name, 'src')
  return readdirSync(sources, { recursive: true, encoding: 'utf8' }).every(
    (file) => modifiedAt(join(sources, file)) <= built,
  )
})

/** Runs one task in a process of its own and returns the most memory that it ever had, in megabytes. */
export async function runWorkspaceChild(given: ChildTask): Promise<number> {
  const { task, directory, to, stateDirectory = '' } = given
  const conditions = isBuilt ? [] : ['--conditions=@ws/source']
  const { stdout } = await promisify(execFile)(process.execPath, [
    ...conditions,
    child,
    task,
    directory,
    to,
    stateDirectory,
  ])
  return Number(stdout) / 1024
}

function modifiedAt(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0
}
