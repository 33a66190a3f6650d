import { execFileSync } from 'node:child_process'
import { readdirSync, readlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it, vi } from 'vitest'
import { askGit, runGit, streamGit } from '../../../src/snapshot/git/private/git-command.ts'
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

  it('that is private knows nothing of the user: settings, attributes, replacements, patterns (cases 78, 79)', async () => {
    const { path, outside, git, write } = createFixture()
    write('[a].txt', 'one')
    write('a.txt', 'two')
    git('add', '-A')
    const [one, two] = ['[a].txt', 'a.txt'].map((file) => git('rev-parse', `:${file}`).trim()) as [
      string,
      string,
    ]
    git('replace', one, two)
    writeFileSync(join(outside, '.gitconfig'), '[alias]\n\tplanted = status\n')
    vi.stubEnv('HOME', outside)
    const ask = async (...args: string[]): Promise<string> => {
      const bytes = await runGit({ cwd: path, configuration: 'private', args })
      return bytes.toString().trim()
    }
    expect(await ask('config', '--list')).not.toContain('planted')
    expect(await ask('config', 'core.attributesFile')).toBe('/dev/null')
    expect(await ask('cat-file', 'blob', one)).toBe('one')
    expect(await ask('ls-files', '--', '[a].txt')).toBe('[a].txt')
    vi.unstubAllEnvs()
  })

  it('that is left early ends git and what it has started', async () => {
    const { path } = createFixture()
    const args = ['-c', 'alias.endless=!echo begun; sleep 600; :', 'endless']
    for await (const chunk of streamGit({ cwd: path, configuration: 'private', args })) {
      expect(Buffer.from(chunk).toString()).toBe('begun\n')
      break
    }
    await vi.waitUntil(() => !readdirSync('/proc').some((id) => worksIn(id, path)), 60_000)
  })
})

function worksIn(processId: string, directory: string): boolean {
  try {
    return readlinkSync(join('/proc', processId, 'cwd')) === directory
  } catch {
    return false
  }
}
