import { mkdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { createFixture, runUserGit, type Fixture } from '../git/git-fixture.ts'

/**
 * How a filter is named, and what hides it when git has added the file. The filter keeps the size, so that the size of
 * the blob tells nothing.
 */
type Plant = (fixture: Fixture) => void

const PLANTED: [string, string, Plant, Plant?][] = [
  [
    'a file that is ignored itself',
    'secret.txt',
    ({ write }) => {
      write('.gitignore', '.gitattributes\n')
      write('.gitattributes', '*.txt filter=rot\n')
    },
  ],
  [
    'a file in an ignored directory',
    'dist/secret.txt',
    ({ write }) => {
      write('.gitignore', 'dist/\n')
      write('dist/.gitattributes', '*.txt filter=rot\n')
    },
  ],
  [
    'a pattern in other letters, where upper and lower case are the same',
    'secret.txt',
    ({ git, write }) => {
      git('config', 'core.ignoreCase', 'true')
      write('.gitattributes', '*.TXT filter=rot\n')
    },
  ],
  [
    'a commit that the configuration takes attributes from',
    'secret.txt',
    ({ write }) => write('.git/info/attributes', '*.txt filter=rot\n'),
    // As a git does that knows this setting; an older one must not be believed either.
    ({ git, path }) => {
      rmSync(join(path, '.git/info/attributes'))
      git('config', 'attr.tree', 'HEAD')
    },
  ],
  [
    'a file that the configuration of a nested repository names',
    'nested/secret.txt',
    ({ path, outside }) => {
      mkdirSync(join(path, 'nested'))
      const nested = join(path, 'nested')
      runUserGit(nested, 'init', '-q')
      writeFileSync(join(outside, 'attributes'), '*.txt filter=rot\n')
      runUserGit(nested, 'config', 'core.attributesFile', join(outside, 'attributes'))
      runUserGit(nested, 'config', 'filter.rot.clean', 'tr a-z n-za-m')
    },
  ],
]

it.each(PLANTED)(
  'a filter named in %s leaves the snapshot with the bytes of the directory (cases 15, 18)',
  async (_name, file, plant, hide) => {
    const fixture = createFixture()
    const { git, path, write, read, open } = fixture
    git('config', 'filter.rot.clean', 'tr a-z n-za-m')
    plant(fixture)
    write(file, 'the real thing\n')
    const [directory, name] = file.startsWith('nested/') ? [join(path, 'nested'), 'secret.txt'] : [path, file]
    runUserGit(directory, 'add', '-f', name)
    expect(runUserGit(directory, 'cat-file', '-p', `:${name}`)).toBe('gur erny guvat\n')
    hide?.(fixture)
    ageIndex(directory)
    const backend = await open()
    const before = await backend.capture({ label: 'before' })
    write(file, 'spoilt')
    await backend.rollback(before)
    expect(read(file)).toBe('the real thing\n')
  },
)

/** As if it had been written long after the files. */
function ageIndex(directory: string): void {
  const later = new Date(Date.now() + 60_000)
  utimesSync(join(directory, '.git/index'), later, later)
}
