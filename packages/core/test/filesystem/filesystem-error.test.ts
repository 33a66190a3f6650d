import { expect, it } from 'vitest'
import { toWorkspaceError } from '../../src/filesystem/filesystem-error.ts'

it('says which flag is missing where the permission model of Node is in the way', () => {
  const cause = Object.assign(new Error('Access to this API has been restricted.'), {
    code: 'ERR_ACCESS_DENIED',
  })
  expect(toWorkspaceError(cause, 'read', '/a')).toMatchObject({
    code: 'ACCESS_DENIED',
    message: expect.stringMatching(/^Cannot read "\/a": .*--allow-/) as string,
    cause,
  })
})

it('makes an error of its own also of what the table has no word for', () => {
  const cause = Object.assign(new Error('ETXTBSY: text file is busy'), { code: 'ETXTBSY', syscall: 'open' })
  expect(toWorkspaceError(cause, 'write', '/a')).toMatchObject({
    code: 'INTERNAL',
    message: 'Cannot write "/a": the system refused (ETXTBSY).',
    cause,
  })
})

it('leaves alone what is no error of the system', () => {
  const error = new Error('of the caller')
  expect(toWorkspaceError(error, 'read', '/a')).toBe(error)
})
