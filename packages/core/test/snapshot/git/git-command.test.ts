import { execFileSync } from 'node:child_process'
import { readdirSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { askGit, runGit } from '../../../src/snapshot/git/git-command.ts'
import { createFixture } from './git-fixture.ts'

describe('a call of git', () => {
  it('that waits at a pipe which an agent put where git reads is stopped, says where to look, and leaves no process (case 76)', async () => {
    const { path, git } = createFixture()
    git('config', 'include.path', join(path, 'included'))
    execFileSync('mkfifo', [join(path, 'included')])
    const call = { cwd: path, args: ['rev-parse', '--git-dir'], deadlineMs: 300 }
    const late = { code: 'TIMEOUT', message: expect.stringContaining('a file that this includes is a pipe') }
    await expect(askGit(call)).rejects.toMatchObject(late)
    await expect(runGit({ ...call, configuration: 'user' })).rejects.toMatchObject(late)
    expect(readdirSync('/proc').filter((id) => worksIn(id, path))).toEqual([])
  })
})

function worksIn(processId: string, directory: string): boolean {
  try {
    return readlinkSync(join('/proc', processId, 'cwd')) === directory
  } catch {
    return false
  }
}
