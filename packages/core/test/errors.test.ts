import { expect, it } from 'vitest'
import { WorkspaceError, errorCodes } from '../src/errors.ts'

it('keeps code, message and details through JSON', () => {
  const error = new WorkspaceError('CONFLICT', 'Somebody was faster.', { details: { key: 'a' } })
  expect(JSON.parse(JSON.stringify(error))).toEqual({
    code: 'CONFLICT',
    message: 'Somebody was faster.',
    retryable: false,
    details: { key: 'a' },
  })
})

it('knows its own kind by a marker, so that another installed copy of the package counts too', () => {
  const marker = Symbol.for('@ws/core/WorkspaceError')
  const fromAnotherCopy = Object.assign(new Error('x'), { code: 'BUSY', [marker]: true })
  expect(WorkspaceError.is(fromAnotherCopy)).toBe(true)
  expect(WorkspaceError.is(fromAnotherCopy, 'BUSY')).toBe(true)
  expect(WorkspaceError.is(fromAnotherCopy, 'TIMEOUT')).toBe(false)
  expect(WorkspaceError.is(new Error('plain'))).toBe(false)
})

it('says for each code whether a retry makes sense', () => {
  const retryable = Object.entries(errorCodes).filter(([, entry]) => entry.retryable)
  expect(retryable.map(([code]) => code).sort()).toEqual(['BUSY', 'TIMEOUT', 'UNAVAILABLE'])
})

it('says which codes there are when it is made with another one', () => {
  for (const code of ['NOPE', 'toString', undefined, 10n])
    expect(() => new WorkspaceError(code as never, 'x')).toThrow(/has no code .*NOT_FOUND, ALREADY_EXISTS/)
})
