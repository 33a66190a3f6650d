import { spawnSync } from 'node:child_process'
import {
  appendFileSync,
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { delimiter, join } from 'node:path'
import { evil, hooks, plants, type Plant } from './plants.ts'

/** Where the programs lie, and what they have marked. */
export interface PlantedPrograms {
  readonly directory: string
  /** One line for each program that ran; empty when none did. */
  readonly marks: () => string
  readonly forget: () => void
  /** With the places of the programs instead of the words that stand for them. */
  readonly fill: (text: string, repository?: string) => string
}

export function createPlantedPrograms(directory: string): PlantedPrograms {
  const marker = join(directory, 'marker')
  const script = join(directory, 'program')
  mkdirSync(join(directory, 'hooks'), { recursive: true })
  mkdirSync(join(directory, 'template/hooks'), { recursive: true })
  mkdirSync(join(directory, 'executables'))
  writeFileSync(
    script,
    `#!/bin/sh\necho "$0 $*" >> ${marker}\ncase $0 in */hooks/*) exit 0 ;; esac\nexit 1\n`,
  )
  chmodSync(script, 0o755)
  plantHooks(join(directory, 'hooks'), script)
  plantHooks(join(directory, 'template/hooks'), script)
  symlinkSync(script, join(directory, 'executables/git-planted-too'))
  writeFileSync(join(directory, 'included'), `[core]\n\tfsmonitor = ${script}\n`)
  const words: Record<string, string> = {
    SCRIPT: script,
    HOOKS: join(directory, 'hooks'),
    TEMPLATE: join(directory, 'template'),
    INCLUDED: join(directory, 'included'),
    EXECUTABLES: join(directory, 'executables'),
    MARKER: marker,
  }
  return {
    directory,
    marks: () => (existsSync(marker) ? readFileSync(marker, 'utf8') : ''),
    forget: () => rmSync(marker, { force: true }),
    fill: (text, repository = directory) =>
      text.replace(/\b(SCRIPT|HOOKS|TEMPLATE|INCLUDED|EXECUTABLES|MARKER|REPOSITORY)\b/g, (word) =>
        word === 'REPOSITORY' ? repository : (words[word] ?? word),
      ),
  }
}

export function plantHooks(directory: string, program: string): void {
  mkdirSync(directory, { recursive: true })
  for (const hook of hooks) {
    rmSync(join(directory, hook), { force: true })
    symlinkSync(program, join(directory, hook))
  }
}

/** All settings of the plants, as a configuration file. */
export function plantedConfiguration(
  programs: PlantedPrograms,
  repository: string,
  chosen: readonly Plant[] = plants,
): string {
  const lines = chosen.flatMap(({ settings = {} }) =>
    Object.entries(settings).map(([key, value]) => {
      const first = key.indexOf('.')
      const last = key.lastIndexOf('.')
      const subsection = first === last ? '' : ` "${key.slice(first + 1, last)}"`
      return `[${key.slice(0, first)}${subsection}]\n\t${key.slice(last + 1)} = "${programs.fill(value, repository)}"\n`
    }),
  )
  return lines.join('')
}

export function plantedEnvironment(programs: PlantedPrograms): Record<string, string> {
  const all = Object.assign({}, ...plants.map(({ environment }) => environment)) as Record<string, string>
  return Object.fromEntries(Object.entries(all).map(([name, value]) => [name, programs.fill(value)]))
}

/** Plants everything in a repository: its configuration, that of the work tree, hooks and attributes. */
export function plantInRepository(programs: PlantedPrograms, gitDirectory: string, worktree: string): void {
  const configuration = plantedConfiguration(programs, worktree)
  appendFileSync(join(gitDirectory, 'config'), `${configuration}[extensions]\n\tworktreeConfig = true\n`)
  writeFileSync(join(gitDirectory, 'config.worktree'), configuration)
  plantHooks(join(gitDirectory, 'hooks'), programs.fill('SCRIPT'))
  mkdirSync(join(gitDirectory, 'info'), { recursive: true })
  writeFileSync(join(gitDirectory, 'info/attributes'), `${evil}\n`)
}

/** Plants programs by the names of git's own in the workspace, for a PATH that says `.`. */
export function plantOnPath(programs: PlantedPrograms, directory: string): string {
  for (const name of ['git', 'git-lfs', 'ssh', 'sh'])
    symlinkSync(programs.fill('SCRIPT'), join(directory, name))
  return `.${delimiter}${delimiter}${process.env['PATH'] ?? ''}`
}

/** A repository with the commits `first` and `second` of `a.txt`, and `a.txt` edited. */
export function createPlainRepository(directory: string): void {
  mkdirSync(directory, { recursive: true })
  runShell(
    directory,
    `git init -q -b main && for n in first second; do
    seq 20 | sed "s/1/$n/" > a.txt; git add -A; git commit -q -m $n; git tag $n; done; echo edited >> a.txt`,
  )
}

/** Runs shell commands with plain git and only this plant, in a copy of a plain repository. @returns what was marked */
export function firePlant(
  programs: PlantedPrograms,
  plant: Plant,
  places: { readonly plain: string; readonly scratch: string },
): string {
  const repository = join(places.scratch, 'repository')
  cpSync(places.plain, repository, { recursive: true, preserveTimestamps: true })
  if (plant.attributes !== undefined)
    writeFileSync(join(repository, '.git/info/attributes'), `${plant.attributes}\n`)
  const configuration = plantedConfiguration(programs, repository, [plant])
  if (plant.isOfRepository === true) appendFileSync(join(repository, '.git/config'), configuration)
  else writeFileSync(join(places.scratch, '.gitconfig'), configuration)
  programs.forget()
  const more = Object.entries(plant.environment ?? {}).map(([name, value]) => [name, programs.fill(value)])
  runShell(repository, plant.fire, { HOME: places.scratch, ...Object.fromEntries(more) })
  const marks = programs.marks()
  programs.forget()
  return marks
}

function runShell(directory: string, commands: string, environment: Record<string, string> = {}): void {
  const identity = ['AUTHOR', 'COMMITTER'].flatMap((who) => [
    [`GIT_${who}_NAME`, 'A'],
    [`GIT_${who}_EMAIL`, 'a@example.org'],
  ])
  // What they exit with does not matter, only whether a program ran.
  spawnSync('sh', ['-c', commands], {
    cwd: directory,
    env: {
      PATH: process.env['PATH'],
      HOME: '/nonexistent',
      LC_ALL: 'C',
      TERM: 'xterm',
      GIT_TERMINAL_PROMPT: '0',
      ...Object.fromEntries(identity),
      ...environment,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
}
