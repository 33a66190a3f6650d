import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { chmodSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

/** Makes a small project with a dozen commits, a staged file and an untracked one. */
export function createRepository(path: string): void {
  mkdirSync(path)
  const write = (name: string, content: string): void => {
    mkdirSync(dirname(join(path, name)), { recursive: true })
    writeFileSync(join(path, name), content)
  }
  const commit = (message: string): void => {
    git(path, 'add', '--all')
    git(path, 'commit', '--quiet', `--message=${message}`)
  }
  git(path, 'init', '--quiet', '--initial-branch=main')
  write('package.json', '{ "name": "greeter", "type": "module" }\n')
  write('bin/run.sh', '#!/bin/sh\nexec node src/main.js "$@"\n')
  chmodSync(join(path, 'bin/run.sh'), 0o755)
  commit('Start')
  write('src/greet.js', "export const greet = (name) => 'Hello, ' + name\n")
  write('src/main.js', "import { greet } from './greet.js'\nconsole.log(greet(process.argv[2] ?? 'world'))\n")
  commit('Greet')
  write('src/unused.js', 'export const answer = 42\n')
  write('docs/usage.md', '# Usage\n\nRun `bin/run.sh <name>`.\n')
  write('assets/pixel.png', '')
  commit('Document')
  for (let step = 1; step <= 9; step += 1) {
    write(
      'CHANGES.md',
      `# Changes\n${Array.from({ length: step }, (_, index) => `- step ${index + 1}\n`).join('')}`,
    )
    commit(`Step ${step}`)
  }
  write('.gitignore', '*.log\n')
  commit('Ignore logs')
  write('staged.txt', 'staged, not committed\n')
  git(path, 'add', 'staged.txt')
  write('notes.txt', 'untracked\n')
  write('debug.log', 'ignored\n')
}

/** What must not change when a run is rolled back. */
export function repositoryState(path: string): {
  head: string
  status: string
  log: string
  gitDirectory: string
} {
  // Hashed first: `git status` may refresh the index file, and the comparison is about what a rollback does.
  const gitDirectory = hashDirectory(join(path, '.git'))
  return {
    gitDirectory,
    head: git(path, 'rev-parse', 'HEAD', '--symbolic-full-name', 'HEAD'),
    status: git(path, '--no-optional-locks', 'status', '--porcelain=v2', '--branch'),
    log: git(path, 'log', '--oneline', '--max-count=4'),
  }
}

function hashDirectory(path: string): string {
  const hash = createHash('sha256')
  for (const entry of readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((each) => each.isFile())
    .map((each) => join(each.parentPath, each.name))
    .sort()) {
    hash.update(entry).update('\0').update(readFileSync(entry))
  }
  return hash.digest('hex')
}

function git(path: string, ...arguments_: string[]): string {
  return execFileSync('git', ['-c', 'user.name=Demo', '-c', 'user.email=demo@example.com', ...arguments_], {
    cwd: path,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  }).trimEnd()
}
