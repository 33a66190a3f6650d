import { mkdir, mkdtemp, readdir, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { homedir, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { decodePath, encodePath } from '../../src/filesystem/path-text.ts'
import { prepareStateDirectory } from '../../src/filesystem/state-directory.ts'
import { isInside, resolveWorkspaceRoot } from '../../src/filesystem/workspace-root.ts'

let directory: string
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'ws-root-'))
})
afterEach(() => rm(directory, { recursive: true, force: true }))

it('says for each unusable path what is wrong with it', async () => {
  await writeFile(join(directory, 'file'), '')
  await expect(resolveWorkspaceRoot(join(directory, 'missing'))).rejects.toMatchObject({ code: 'NOT_FOUND' })
  await expect(resolveWorkspaceRoot(join(directory, 'file'))).rejects.toMatchObject({ code: 'INVALID_INPUT' })
  await expect(resolveWorkspaceRoot(join(directory, 'file', 'below'))).rejects.toMatchObject({
    code: 'INVALID_INPUT',
  })
  await expect(resolveWorkspaceRoot('')).rejects.toMatchObject({ code: 'INVALID_INPUT' })
  await expect(resolveWorkspaceRoot('a\0b')).rejects.toMatchObject({ code: 'INVALID_INPUT' })
})

it('refuses the root of the file system the home directory and what is above it, also through a link (case 68)', async () => {
  await symlink('/', join(directory, 'slash'))
  await symlink(homedir(), join(directory, 'home'))
  const above = dirname(homedir())
  for (const path of ['/', homedir(), above, join(directory, 'slash'), join(directory, 'home')]) {
    await expect(resolveWorkspaceRoot(path), path).rejects.toMatchObject({ code: 'INVALID_INPUT' })
  }
})

it('tells what lies inside a directory without being fooled by names that look alike', () => {
  expect(isInside('/a/b', '/a/b')).toBe(true)
  expect(isInside('/a/b', '/a/b/c')).toBe(true)
  expect(isInside('/a/b', '/a/b/..c')).toBe(true)
  expect(isInside('/a/b', '/a/bc')).toBe(false)
  expect(isInside('/a/b', '/a')).toBe(false)
  expect(isInside('/a/b', '/a/b/../c')).toBe(false)
})

it('gives each workspace a private state directory of its own and refuses one inside the workspace', async () => {
  const root = join(directory, 'work')
  const base = join(directory, 'state')
  await mkdir(root)
  const first = await prepareStateDirectory(root, base)
  expect(await prepareStateDirectory(root, base)).toBe(first)
  expect(await prepareStateDirectory(join(directory, 'other'), base)).not.toBe(first)
  expect((await stat(first)).mode & 0o777).toBe(0o700)
  await symlink(root, join(directory, 'link-to-work'))
  for (const inside of [root, join(root, '.state'), join(directory, 'link-to-work', 'state')]) {
    await expect(prepareStateDirectory(root, inside), inside).rejects.toMatchObject({ code: 'INVALID_INPUT' })
  }
  expect(await readdir(root)).toEqual([])
})

it('shows every file name as a string that leads back to the same bytes', () => {
  for (const bytes of [
    Buffer.from('plain'),
    Buffer.from('ünï/😀'),
    Buffer.from([0xff, 0x61, 0xfe]),
    Buffer.from([0xc3, 0x28]),
    Buffer.from([0xed, 0xb2, 0x80]),
    Buffer.from([0xf0, 0x9f, 0x98]),
  ]) {
    const text = decodePath(bytes)
    expect(encodePath(text)).toEqual(bytes)
    expect(encodePath(JSON.parse(JSON.stringify(text)) as string)).toEqual(bytes)
  }
})
