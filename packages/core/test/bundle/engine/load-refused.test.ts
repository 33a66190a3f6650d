import { execFileSync } from 'node:child_process'
import { readdirSync, rmSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { memoryStore } from '@ws/store-memory'
import { describe, expect, it } from 'vitest'
import { Workspace } from '../../../src/workspace/workspace.ts'
import { temporaryDirectory, writeFiles } from '../../support/temporary-directory.ts'

async function saved(): Promise<{ base: string; at: (place: string) => Workspace }> {
  const base = temporaryDirectory()
  const store = memoryStore()
  writeFiles(join(base, 'work'), { a: '1' })
  const at = (place: string): Workspace =>
    new Workspace({ id: 'work', path: join(base, place), store, stateDir: join(base, 'state') })
  await at('work').save('one')
  return { base, at }
}

describe('a load that is refused', () => {
  it('says of a link that leads nowhere what to do about it', async () => {
    const { base, at } = await saved()
    symlinkSync('nowhere', join(base, 'link'))
    await expect(at('link').load()).rejects.toMatchObject({
      code: 'INVALID_INPUT',
      message: expect.stringContaining('leads nowhere') as string,
    })
  })

  it('leaves none of the directories above that it made', async () => {
    const { base, at } = await saved()
    await expect(at('x/y/work').load({ paths: ['absent'] })).rejects.toMatchObject({ code: 'NOT_FOUND' })
    expect(readdirSync(base)).not.toContain('x')
    await at('x/y/work').load()
    expect(readdirSync(join(base, 'x/y/work'))).toEqual(['a'])
  })

  it('does not advise what was done already', async () => {
    const { base, at } = await saved()
    rmSync(join(base, 'work/a'))
    execFileSync('mkfifo', [join(base, 'work/a')])
    await expect(at('work').load()).rejects.toMatchObject({
      code: 'CONFLICT',
      message: expect.stringMatching(/Move it away\.$/) as string,
    })
  })
})
