import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { quote, shell } from '../shell.ts'

const packages = [
  'vite@8',
  'react@19',
  'react-dom@19',
  'typescript@6',
  'eslint@10',
  'jest@30',
  'webpack@5',
  'rxjs@7',
  '@babel/preset-env@7',
]

/** A real JavaScript project with its node_modules (some 13,000 files), installed once per machine and copied from then on. */
export async function copyProjectTree(destination: string, log: (line: string) => void): Promise<void> {
  const cache = join(tmpdir(), `ws-bench-project-2-${process.getuid?.() ?? 0}`)
  if (!existsSync(cache)) {
    log(`installing ${packages.join(' ')} into ${cache}`)
    const partial = `${cache}-${process.pid}`
    mkdirSync(partial, { mode: 0o700 })
    try {
      writeFileSync(join(partial, 'package.json'), '{ "name": "project", "private": true }\n')
      await shell(`npm install --ignore-scripts --no-audit --no-fund --silent ${packages.join(' ')}`, partial)
      for (const name of ['main', 'view', 'store']) {
        mkdirSync(join(partial, 'src', name), { recursive: true })
        writeFileSync(join(partial, 'src', name, 'index.js'), `export const ${name} = '${name}'\n`.repeat(50))
      }
      renameSync(partial, cache)
    } finally {
      rmSync(partial, { recursive: true, force: true })
    }
  }
  await shell(`cp -a ${quote(cache)} ${quote(destination)}`, tmpdir())
}

/** A commit starts a collection in the background, which would be at work beside whatever is measured next. */
const withoutCollection = 'git config gc.auto 0 && git config maintenance.auto false'

/** Makes a git repository with everything in it committed, node_modules too. Every object is a file of its own. */
export async function commitTree(directory: string): Promise<void> {
  const identity = '-c user.name=bench -c user.email=bench@example.com -c commit.gpgsign=false'
  await shell(
    `git init -q && ${withoutCollection} && git add -A -f && git ${identity} commit -q -m start && git status >/dev/null`,
    directory,
  )
}

/** Puts the objects of a repository into a pack, as a clone has them. */
export async function packObjects(directory: string): Promise<void> {
  await shell('git repack -a -d -q && git status >/dev/null', directory)
}

/** Appends a line to ten source files of the project. */
export async function editTenFiles(project: string): Promise<void> {
  const folder = join(project, 'node_modules/typescript/lib')
  const names = readdirSync(folder).filter((name) => name.endsWith('.d.ts'))
  for (const name of names.slice(0, 10)) appendFileSync(join(folder, name), '// edited\n')
}
