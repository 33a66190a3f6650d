import { mkdirSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { openGitBackend } from '../../../src/snapshot/git/open-git-backend.ts'
import {
  createPlantedPrograms,
  plantedConfiguration,
  plantedEnvironment,
  plantInRepository,
  plantOnPath,
} from '../../security/planted-commands.ts'
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

  it.each(['split', 'sparse'])(
    'stays so with a %s index and more staged than git has made trees of (cases 37, 44, 64)',
    async (index) => {
      const fixture = createFixture()
      const { path, write, git } = fixture
      write('deep/directory/c.txt', 'c')
      git('add', '-A')
      git('commit', '-q', '-m', 'deep')
      if (index === 'split') git('update-index', '--split-index')
      else git('sparse-checkout', 'set', '--cone', '--sparse-index', 'src')
      write('staged.txt', 'staged')
      git('add', 'staged.txt')
      // git notes by their times which of its files are in use.
      const describeBytes = () =>
        Object.entries(fingerprint(join(path, '.git'))).map(([name, facts]) => {
          const [mode, size, , hash] = facts.split(' ')
          return [name, mode, size, hash]
        })
      const before = describeBytes()
      await useEverything(fixture)
      expect(describeBytes()).toEqual(before)
    },
  )

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
      const programs = createPlantedPrograms(join(outside, 'planted'))
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
      for (const name of ['.git', 'inner/.git']) plantInRepository(programs, join(path, name), path)
      mkdirSync(join(outside, 'home/.config/git'), { recursive: true })
      writeFileSync(join(outside, 'home/.gitconfig'), plantedConfiguration(programs, path))
      writeFileSync(join(outside, 'home/.config/git/attributes'), '* filter=evil diff=evil\n')
      const environment = {
        ...plantedEnvironment(programs),
        HOME: join(outside, 'home'),
        PATH: plantOnPath(programs, path),
      }
      for (const [name, value] of Object.entries(environment)) vi.stubEnv(name, value)
      onTestFinished(() => void vi.unstubAllEnvs())
      await useEverything(fixture)
      expect(programs.marks()).toBe('')
      // The same settings do run with plain git, so the traps are set.
      vi.unstubAllEnvs()
      expect(() => runUserGit(path, 'status')).toThrow()
      expect(programs.marks()).not.toBe('')
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
