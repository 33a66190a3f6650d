/** Does what it is told in workspaces, and prints what came of each save and load, and the trees at the end. */
import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
  utimesSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { localStore } from '@ws/store-local'
import { WorkspaceError } from '../../../src/errors.ts'
import { Workspace } from '../../../src/workspace/workspace.ts'

/** A step; `modes` are set in their order. */
export interface Step {
  readonly write?: Readonly<Record<string, string>>
  readonly modes?: Readonly<Record<string, number>>
  readonly remove?: string
  readonly pipe?: string
  /** Of the workspace itself. */
  readonly time?: number
  /** Of the directory that the workspace lies in. */
  readonly parentMode?: number
  readonly save?: true
  readonly load?: Parameters<Workspace['load']>[0]
  /** What was written up to now counts as written long ago. */
  readonly later?: true
  /** Ends the load when it begins to fetch. */
  readonly aborts?: true
}

export interface Outcome {
  readonly failed?: { readonly code: string; readonly message: string; readonly details: unknown }
  readonly skipped?: readonly unknown[]
  readonly left?: readonly unknown[]
  readonly deleted?: number
  /** Of the workspace itself, after a load. */
  readonly time?: number
}

export interface Outcomes {
  readonly outcomes: readonly Outcome[]
  /** By path: the mode of a directory, or the mode and content of a file. */
  readonly tree: Readonly<Record<string, string>>
}

const [base = '', scenarios = '[]'] = process.argv.slice(2)
process.umask(0o022)
const all: Outcomes[] = []
for (const [index, steps] of (JSON.parse(scenarios) as Step[][]).entries()) {
  const path = join(base, String(index))
  const root = join(path, 'work')
  mkdirSync(root, { recursive: true })
  const store = localStore({ root: join(path, 'store') })
  const workspace = new Workspace({ id: 'work', path: root, store, stateDir: join(path, 'state') })
  const outcomes: Outcome[] = []
  for (const step of steps) await take(workspace, step, outcomes)
  all.push({ outcomes, tree: listAll(root, '') })
}
process.stdout.write(JSON.stringify(all))

async function take(workspace: Workspace, step: Step, outcomes: Outcome[]): Promise<void> {
  const { write = {}, modes = {}, remove, pipe, time, parentMode, later, save, load, aborts } = step
  const root = workspace.path
  for (const [path, content] of Object.entries(write)) {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), content)
  }
  for (const [path, mode] of Object.entries(modes)) chmodSync(join(root, path), mode)
  if (remove !== undefined) rmSync(join(root, remove), { recursive: true })
  if (time !== undefined) utimesSync(root, time, time)
  if (parentMode !== undefined) chmodSync(dirname(root), parentMode)
  if (pipe !== undefined) execFileSync('mkfifo', [join(root, pipe)])
  if (later === true) {
    const now = Date.now
    Date.now = () => now() + 60_000
  }
  if (save === true) {
    const { report } = await workspace.save('saved')
    outcomes.push({ skipped: report.skipped })
  }
  if (load === undefined) return
  const stop = new AbortController()
  try {
    const loaded = await workspace.load(
      aborts === true
        ? {
            ...load,
            signal: stop.signal,
            onProgress: () => stop.abort(new WorkspaceError('TIMEOUT', 'Stopped.')),
          }
        : load,
    )
    outcomes.push({
      left: loaded?.report.left ?? [],
      deleted: loaded?.report.deleted.files ?? 0,
      time: Math.floor(lstatSync(root).mtimeMs / 1000),
    })
  } catch (error) {
    if (!WorkspaceError.is(error)) throw error
    const { code, message, details } = error
    outcomes.push({ failed: { code, message, details }, time: Math.floor(lstatSync(root).mtimeMs / 1000) })
  }
}

/** What is not this user's to open is listed without what it holds. */
function listAll(root: string, path: string): Record<string, string> {
  const file = join(root, path)
  const { mode } = lstatSync(file)
  const isDirectory = lstatSync(file).isDirectory()
  const shown = (mode & 0o7777).toString(8).padStart(4, '0')
  if (!isDirectory && !lstatSync(file).isFile()) return { [path]: 'special' }
  try {
    chmodSync(file, 0o700)
  } catch {
    return { [path]: shown }
  }
  try {
    if (!isDirectory) return { [path]: `${shown} ${readFileSync(file, 'utf8')}` }
    const inside = readdirSync(file).toSorted()
    return Object.assign({ [path]: shown }, ...inside.map((name) => listAll(root, join(path, name))))
  } finally {
    chmodSync(file, mode & 0o7777)
  }
}
