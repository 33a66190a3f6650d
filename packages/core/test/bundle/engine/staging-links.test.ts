import { describe, expect, it } from 'vitest'
import { makingLink } from '../../../src/bundle/engine/load/staging-directories.ts'

const failing = (code: string) => () => {
  throw Object.assign(new Error(code), { code })
}

describe('a link of a version', () => {
  it.each(['ENOSYS', 'EPERM', 'EOPNOTSUPP', 'ENOTSUP'])(
    'on a file system without such links is refused by its name (%s)',
    (code) => {
      expect(() => makingLink('src/current', 'symbolic link', failing(code))).toThrow(
        expect.objectContaining({ code: 'UNSUPPORTED', details: { entry: 'src/current' } }),
      )
    },
  )

  it('that cannot be made for another reason keeps that reason', () => {
    expect(() => makingLink('src/current', 'hard link', failing('ENOSPC'))).toThrow(
      expect.objectContaining({ code: 'ENOSPC' }),
    )
  })
})
