import { renameSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { isPlainConfiguration, readPlainLayout } from '../../../src/snapshot/git/user/plain-layout.ts'
import { createFixture, runUserGit, type Fixture } from './git-fixture.ts'

const read = ({ path }: Fixture, directory = path) =>
  readPlainLayout(directory, { topLevel: path, configuration: [join(path, '.git/config')] })

/** What git says of the same. */
function ask(directory: string) {
  const places = ['index', 'objects', 'info/exclude', 'info/attributes'].flatMap((name) => [
    '--git-path',
    name,
  ])
  const args = ['--path-format=absolute', '--show-object-format', '--git-dir', ...places, '--show-toplevel']
  return runUserGit(directory, 'rev-parse', ...args)
    .trimEnd()
    .split('\n')
}

/** A configuration as people have it. */
const usual = `# of a clone
[core]
\trepositoryformatversion = 0
\tfilemode = true
\tbare = false
\tlogallrefupdates = true
[remote "origin"]
\turl = https://example.org/a.git
\tfetch = +refs/heads/*:refs/remotes/origin/*
[branch "main"]
\tremote = origin
\tmerge = refs/heads/main
[user]
\tname = Ada Lovelace
\temail = ada@example.org
`

describe('a repository whose configuration says nothing unusual', () => {
  it('is described without git as git describes it, also from a directory in it', () => {
    const fixture = createFixture()
    for (const text of [null, usual]) {
      if (text !== null) fixture.write('.git/config', text)
      for (const [directory, prefix] of [
        [fixture.path, ''],
        [join(fixture.path, 'src'), 'src/'],
      ] as const) {
        const layout = read(fixture, directory)!
        const { format, gitDirectory, indexFile, objectsDirectory, excludeFile, attributeFiles } = layout
        const said = [format, gitDirectory, indexFile, objectsDirectory, excludeFile, attributeFiles[0]]
        expect([...said, layout.topLevel]).toEqual(ask(directory))
        expect(layout).toMatchObject({ prefix, ignoreCase: false })
      }
    }
  })

  it.each(['index', 'objects', 'info', 'info/exclude'])('is left to git where %s is a link', (name) => {
    const fixture = createFixture()
    writeFileSync(join(fixture.path, '.git/info/exclude'), '')
    expect(read(fixture)).not.toBe(null)
    renameSync(join(fixture.path, '.git', name), join(fixture.outside, 'elsewhere'))
    symlinkSync(join(fixture.outside, 'elsewhere'), join(fixture.path, '.git', name))
    expect(read(fixture)).toBe(null)
  })
})

it.each([
  '[include]\n\tpath = other',
  '[includeIf "gitdir:/"]\n\tpath = other',
  '[extensions]\n\tobjectFormat = sha256',
  '[extensions]\n\tworktreeConfig = true',
  '[core]\n\tworktree = /elsewhere',
  '[CORE]\n\tWorkTree = /elsewhere',
  '[core]\n\tbare = true',
  '[core]\n\tbare',
  '[core]\n\trepositoryFormatVersion = 1',
  '[core]\n\texcludesFile = /rules',
  '[core]\n\tattributesFile = /rules',
  '[core]\n\tignoreCase = true',
  '[attr]\n\ttree = HEAD',
  '[safe]\n\tbareRepository = explicit',
  // Lines that git may read otherwise than they look.
  '[core] worktree = /elsewhere',
  '[core]\n\tfilemode = true \\\n\tbare = true',
  '[core]\n\tfilemode = "true"',
  '[core]\n\tfilemode = true # or not',
  '[core]\r\n\tfilemode = true',
  '[core.sub]\n\tfilemode = true',
  '[core "sub"]\n\tfilemode = true',
  '[branch "a\\"b"]\n\tremote = origin',
  '[user]\n\tname =',
  'bare = false',
  '[core',
  '[constructor]\n\tname = x',
  '[core]\n\tconstructor = x',
  '\uFEFF[core]\n\tfilemode = true',
])('%j is left to git', (text) => {
  expect(isPlainConfiguration(usual)).toBe(true)
  expect(isPlainConfiguration(usual + text)).toBe(false)
})
