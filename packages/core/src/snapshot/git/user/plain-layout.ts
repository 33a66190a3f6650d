import { lstatSync } from 'node:fs'
import { join, relative, sep } from 'node:path'
import { toBytePath } from '../../byte-path.ts'
import { configurationFile } from './configuration-file.ts'
import type { LayoutEvidence } from './known-layout.ts'
import { readRegularFile } from '../private/read-regular-file.ts'
import type { UserRepository } from './repository-layout.ts'

const MAX_CONFIGURATION_BYTES = 64 << 10

/** Values that git takes for what they say, by section and name. What is not among them only git can judge. */
const plainSettings: Readonly<Record<string, Readonly<Record<string, RegExp>>>> = {
  core: {
    repositoryformatversion: /^0$/,
    bare: /^false$/,
    filemode: /^(?:true|false)$/,
    logallrefupdates: /^(?:true|false|always)$/,
    ignorecase: /^false$/,
    precomposeunicode: /^(?:true|false)$/,
    symlinks: /^(?:true|false)$/,
    autocrlf: /^(?:true|false|input)$/,
    editor: /./,
    pager: /./,
    sshcommand: /./,
    hookspath: /./,
  },
  user: { name: /./, email: /./, signingkey: /./ },
  init: { defaultbranch: /./ },
  pull: { rebase: /./, ff: /./ },
  fetch: { prune: /./ },
  commit: { gpgsign: /./ },
  color: { ui: /^(?:auto|always|true|false|never)$/ },
}
/** Whatever is in them, git looks into them only where they are used. */
const otherSections: ReadonlySet<string> = new Set([
  'alias',
  'credential',
  'filter',
  'gc',
  'gpg',
  'http',
  'lfs',
  'maintenance',
  'url',
])
/** The same of those that have a name. */
const namedSections: ReadonlySet<string> = new Set(['branch', 'remote', 'submodule'])

/**
 * Where the parts of a repository are when its `.git` is a plain directory and no configuration says anything about
 * that: starting git to be told takes as long as looking at thousands of files.
 * @param evidence names every file of configuration that git would read
 * @returns `null` when only git can tell
 */
export function readPlainLayout(
  path: string,
  { topLevel, configuration }: Pick<LayoutEvidence, 'topLevel' | 'configuration'>,
): UserRepository | null {
  if (configuration === null) return null
  const gitDirectory = join(topLevel, '.git')
  const partOf = (name: string) => join(gitDirectory, name)
  // git says where links lead.
  const parts = ['', 'index', 'objects', 'info', 'info/exclude', 'info/attributes']
  if (parts.some((name) => isLink(partOf(name)))) return null
  for (const file of configuration) {
    const content = readRegularFile(file, { maxBytes: MAX_CONFIGURATION_BYTES })
    if (content === null || !isPlainConfiguration(content.toString('latin1'))) return null
  }
  const below = relative(topLevel, path).split(sep).join('/')
  return {
    topLevel,
    prefix: below === '' ? '' : `${toBytePath(below)}/`,
    gitDirectory,
    indexFile: partOf('index'),
    objectsDirectory: partOf('objects'),
    format: 'sha1',
    excludeFile: partOf('info/exclude'),
    globalExcludesFile: configurationFile('ignore'),
    ignoreCase: false,
    attributeFiles: [partOf('info/attributes'), configurationFile('attributes')],
  }
}

/** Whether every line is of the plain kind and says nothing that this goes by. */
export function isPlainConfiguration(text: string): boolean {
  let section: string | null = null
  let isNamed = false
  for (const line of text.split('\n')) {
    if (/^[ \t]*(?:[#;].*)?$/.test(line)) continue
    // A quote, a backslash or a comment behind a value needs git's own reading.
    const [, header, name] = /^\[([A-Za-z]+)(?: "([^"\\]*)")?\]$/.exec(line) ?? []
    if (header !== undefined) {
      section = header.toLowerCase()
      isNamed = name !== undefined
      continue
    }
    const [, key = '', value = ''] =
      /^[ \t]*([A-Za-z][A-Za-z0-9-]*)[ \t]*=[ \t]*([^"\\#;\r\0]*[^"\\#;\r\0 \t])[ \t]*$/.exec(line) ?? []
    if (section === null || key === '' || !isPlainSetting(section, isNamed, key.toLowerCase(), value))
      return false
  }
  return true
}

function isPlainSetting(section: string, isNamed: boolean, key: string, value: string): boolean {
  if (otherSections.has(section)) return true
  if (isNamed) return namedSections.has(section)
  const settings = Object.hasOwn(plainSettings, section) ? plainSettings[section] : undefined
  return settings !== undefined && Object.hasOwn(settings, key) && settings[key]?.test(value) === true
}

function isLink(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() === true
}
