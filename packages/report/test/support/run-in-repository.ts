import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { encodePath, executeRun, Workspace } from '@ws/core'
import type { RunEvent, RunOptions, RunResult } from '@ws/core'

/** Content by path; `null` removes. Paths are as in `FileChange.path`, so that any bytes can be a name. */
export type Files = Readonly<Record<string, string | Uint8Array | null>>

export interface RepositoryRun {
  readonly result: RunResult<void>
  readonly events: readonly RunEvent[]
}

export interface RepositoryRunOptions extends RunOptions {
  readonly before?: Files
  readonly after?: Files
  /** Further work of the agent, after the files of `after` are there. */
  readonly agent?: (path: string) => void
}

/** A real run, in a real repository that is gone afterwards. */
export async function runInRepository(options: RepositoryRunOptions): Promise<RepositoryRun> {
  const { before = {}, after = {}, agent = () => undefined, ...runOptions } = options
  const root = mkdtempSync(join(tmpdir(), 'ws-report-'))
  try {
    const path = join(root, 'repository')
    mkdirSync(path)
    const git = (...arguments_: string[]) =>
      execFileSync('git', ['-c', 'user.name=A', '-c', 'user.email=a@example.com', ...arguments_], {
        cwd: path,
      })
    git('init', '--quiet')
    writeFiles(path, before)
    git('add', '--all')
    git('commit', '--quiet', '--allow-empty', '--message=first')
    const events: RunEvent[] = []
    const workspace = new Workspace({ id: 'task-1', path, stateDir: join(root, 'state') })
    const result = await executeRun(
      workspace,
      (run) => {
        writeFiles(run.path, after)
        agent(run.path)
      },
      { onEvent: (event) => events.push(event), ...runOptions },
    )
    return { result, events }
  } finally {
    rmSync(root, { recursive: true, force: true })
  }
}

export function diffOf({ result }: RepositoryRun) {
  const diff = result.workspace?.diff
  if (diff === null || diff === undefined)
    throw new Error('The run has no diff.', { cause: result.workspace?.error })
  return diff
}

function writeFiles(root: string, files: Files): void {
  for (const [name, content] of Object.entries(files)) {
    const path = Buffer.concat([Buffer.from(`${root}/`), encodePath(name)])
    mkdirSync(dirname(path.toString('latin1')), { recursive: true })
    if (content === null) rmSync(path)
    else writeFileSync(path, content)
  }
}
