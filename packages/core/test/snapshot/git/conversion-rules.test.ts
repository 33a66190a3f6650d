import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { readConversionRules } from '../../../src/snapshot/git/capture/conversion-rules.ts'
import type { UserRepository } from '../../../src/snapshot/git/user/repository-layout.ts'
import { createScratch } from './git-fixture.ts'

function read(files: Record<string, string>, prefix = '', options: Partial<UserRepository> = {}) {
  const topLevel = createScratch()
  const path = join(topLevel, prefix)
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(join(topLevel, name, '..'), { recursive: true })
    writeFileSync(join(topLevel, name), text)
  }
  mkdirSync(path, { recursive: true })
  const user = {
    topLevel,
    prefix,
    attributeFiles: [join(topLevel, 'info')],
    ...options,
  }
  const inside = Object.keys(files)
    .filter((name) => name.startsWith(prefix) && name.endsWith('.gitattributes'))
    .map((name) => name.slice(prefix.length))
  return readConversionRules({ path, user: user as UserRepository, nested: [] }, inside)
}

it('doubts only the files that a filter, an identifier or an encoding is named for, where the pattern counts', () => {
  const rules = read({
    '.gitattributes':
      '*.bin filter=lfs diff=lfs -text\n/data/** ident\n# *.txt filter=x\n\n*.md linguist-language=x\n',
    'sub/.gitattributes': '*.u16 working-tree-encoding=UTF-16\r\nname -filter\n',
    info: 'from-info filter=x\n',
  })
  const doubted = ['a.bin', 'x/y.bin', 'data/a/b', 'sub/a.u16', 'sub/x/name', 'from-info', 'x/from-info']
  const sure = ['a.txt', 'a.md', 'x/data/a', 'a.u16', 'other/a.u16', 'name', 'binary', 'sub/x/a.txt']
  expect(doubted.filter((path) => !rules.mayDiffer(path))).toEqual([])
  expect(sure.filter((path) => rules.mayDiffer(path))).toEqual([])
})

it('doubts everything where a macro, a quoted pattern or an unreadable file says something of the kind', () => {
  for (const line of ['[attr]lfs filter=lfs', '"a b" filter=x', '!a filter=x'])
    expect(read({ '.gitattributes': `${line}\n` }).mayDiffer('any'), line).toBe(true)
  expect(read({ 'info/file': 'a directory cannot be read as a file' }).mayDiffer('any')).toBe(true)
  expect(read({ '.gitattributes': '[attr]fancy color=blue\n' }).mayDiffer('any')).toBe(false)
})

it('counts the files above a workspace inside the repository', () => {
  const rules = read({ '.gitattributes': '/a/b/x filter=x\n', 'a/.gitattributes': 'b/y filter=y\n' }, 'a/b/')
  expect(['x', 'y', 'z', 'a/b/x'].map((path) => rules.mayDiffer(path))).toEqual([true, true, false, false])
})
