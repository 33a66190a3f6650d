import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { delimiter, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { openGitBackend } from '../../../src/snapshot/git/open-git-backend.ts'
import { collect, createFixture, fingerprint, runUserGit, type Fixture } from './git-fixture.ts'

/** Everything that a backend can do, on a workspace with all kinds of edits. */
async function useEverything({ open, write, path }: Fixture): Promise<void> {
  const backend = await open()
  const before = await backend.capture({ label: 'before' })
  write('a.txt', 'edited\n')
  write('new/c.txt', 'new\n')
  unlinkSync(join(path, 'src/b.txt'))
  const after = await backend.capture({ label: 'after', previous: before })
  expect(await backend.changes(before, after)).toHaveLength(4)
  expect((await collect(backend.patch(before, after))).length).toBeGreaterThan(0)
  await backend.rollback(before, { expected: after, dryRun: true })
  expect(await backend.rollback(before, { expected: after })).toMatchObject({ verified: true })
}

describe("the user's repository", () => {
  it('is byte for byte what it was after capture, changes, patch, dry run and rollback', async () => {
    const fixture = createFixture()
    fixture.write('staged.txt', 'staged')
    fixture.git('add', 'staged.txt')
    const before = fingerprint(join(fixture.path, '.git'))
    await useEverything(fixture)
    expect(fingerprint(join(fixture.path, '.git'))).toEqual(before)
  })

  it('keeps staged changes, branches and HEAD through a rollback of work that an agent committed (cases 44, 45)', async () => {
    const { open, git, write, read } = createFixture()
    write('staged.txt', 'staged')
    git('add', 'staged.txt')
    const backend = await open()
    const before = await backend.capture({ label: 'before' })
    git('checkout', '-q', '-b', 'agent')
    write('a.txt', 'agent\n')
    git('commit', '-q', '-a', '-m', 'agent')
    const state = [git('rev-parse', 'HEAD'), git('symbolic-ref', 'HEAD'), git('ls-files', '--stage')]
    const result = await backend.rollback(before)
    expect(result).toMatchObject({ restored: ['a.txt'], deleted: [], verified: true })
    expect(read('a.txt')).toBe('one\ntwo\n')
    expect([git('rev-parse', 'HEAD'), git('symbolic-ref', 'HEAD'), git('ls-files', '--stage')]).toEqual(state)
  })
})

describe('commands in the configuration', () => {
  it.each(['plain', 'split', 'sparse'])(
    'never run, with a %s index: hooks, filters, drivers, monitors, pagers, helpers and aliases, from any level (cases 78, 79, 89)',
    async (index) => {
      const fixture = createFixture()
      const { path, outside, write, git } = fixture
      const marker = join(outside, 'ran')
      const script = join(outside, 'script')
      writeFileSync(script, `#!/bin/sh\necho "$0 $*" >> ${marker}\ncat\n`)
      chmodSync(script, 0o755)
      runUserGit(outside, 'init', '-q', 'nested')
      const settings = {
        'core.fsmonitor': script,
        'core.hooksPath': join(outside, 'hooks'),
        'core.pager': script,
        'core.editor': script,
        'core.sshCommand': script,
        'core.askPass': script,
        'core.alternateRefsCommand': script,
        'core.gitProxy': script,
        'pager.status': script,
        'pager.diff': script,
        'diff.external': script,
        'diff.evil.command': script,
        'diff.evil.textconv': script,
        'filter.evil.clean': script,
        'filter.evil.smudge': script,
        'filter.evil.process': script,
        'filter.evil.required': 'true',
        'merge.evil.driver': script,
        'credential.helper': `!${script}`,
        'gpg.program': script,
        'commit.gpgSign': 'true',
        'alias.status': `!${script}`,
        'alias.diff-tree': `!${script}`,
        'alias.cat-file': `!${script}`,
        'uploadpack.packObjectsHook': script,
        'submodule.recurse': 'true',
        'interactive.diffFilter': script,
        'trailer.x.command': script,
      }
      mkdirSync(join(outside, 'hooks'))
      for (const hook of [
        'pre-commit',
        'post-checkout',
        'post-index-change',
        'reference-transaction',
        'fsmonitor-watchman',
        'pre-auto-gc',
      ]) {
        for (const directory of [join(outside, 'hooks'), join(path, '.git/hooks')]) {
          mkdirSync(directory, { recursive: true })
          symlinkSync(script, join(directory, hook))
        }
      }
      const lines = Object.entries(settings).map(([key, value]) => {
        const [section = '', ...rest] = key.split('.')
        const name = rest.pop() ?? ''
        return `[${section}${rest.length === 0 ? '' : ` "${rest.join('.')}"`}]\n\t${name} = "${value}"\n`
      })
      write('.gitattributes', '* filter=evil diff=evil merge=evil\n')
      git('add', '-A')
      git('commit', '-q', '-m', 'attributes')
      // git itself reads such an index, with the configuration at hand.
      if (index === 'split') git('update-index', '--split-index')
      if (index === 'sparse') {
        write('deep/directory/c.txt', 'c')
        git('add', '-A')
        git('commit', '-q', '-m', 'deep')
        git('sparse-checkout', 'set', '--cone', '--sparse-index', 'src')
      }
      // A repository inside, whose own monitor git would start when it looks into it.
      runUserGit(path, 'init', '-q', 'inner')
      for (const file of [
        join(path, '.git/config'),
        join(path, 'inner/.git/config'),
        join(outside, 'global'),
      ]) {
        writeFileSync(file, lines.join(''), { flag: 'a' })
      }
      mkdirSync(join(outside, 'home/.config/git'), { recursive: true })
      writeFileSync(join(outside, 'home/.gitconfig'), lines.join(''))
      writeFileSync(join(outside, 'home/.config/git/attributes'), '* filter=evil diff=evil\n')
      writeFileSync(join(path, 'git'), `#!/bin/sh\necho git >> ${marker}\n`, { mode: 0o755 })
      const environment = {
        HOME: join(outside, 'home'),
        PATH: `.${delimiter}${process.env['PATH']}`,
        GIT_CONFIG_GLOBAL: join(outside, 'global'),
        GIT_EXTERNAL_DIFF: script,
        GIT_PAGER: script,
        PAGER: script,
        GIT_SSH_COMMAND: script,
        GIT_ASKPASS: script,
        GIT_EDITOR: script,
        GIT_TRACE2: marker,
        GIT_EXEC_PATH: outside,
      }
      // Making the repository has set off its hooks.
      rmSync(marker)
      const former = Object.fromEntries(Object.keys(environment).map((name) => [name, process.env[name]]))
      Object.assign(process.env, environment)
      try {
        await useEverything(fixture)
      } finally {
        for (const [name, value] of Object.entries(former)) {
          if (value === undefined) delete process.env[name]
          else process.env[name] = value
        }
      }
      expect(existsSync(marker) ? readFileSync(marker, 'utf8') : '').toBe('')
      // The same settings do run with plain git, so the traps are set.
      expect(() => runUserGit(path, 'status')).toThrow(/filter/)
      expect(existsSync(marker)).toBe(true)
    },
  )

  it('is UNSUPPORTED without git, and with one that is too old (case 81)', async () => {
    const { path, stateDirectory, outside } = createFixture()
    const former = process.env['PATH']
    try {
      process.env['PATH'] = outside
      await expect(openGitBackend({ path, stateDirectory })).rejects.toMatchObject({ code: 'UNSUPPORTED' })
      writeFileSync(join(outside, 'git'), '#!/bin/sh\necho git version 2.20.1\n', { mode: 0o755 })
      await expect(openGitBackend({ path, stateDirectory })).rejects.toMatchObject({
        code: 'UNSUPPORTED',
        message: expect.stringContaining('2.20.1'),
      })
    } finally {
      process.env['PATH'] = former
    }
  })
})
