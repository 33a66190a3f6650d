import { describe, expect, it } from 'vitest'
import { insistOn } from '../../../src/snapshot/rollback/insist-on.ts'

function failing(codes: readonly string[]) {
  const calls: string[] = []
  const operation = () => {
    const code = codes[calls.filter((call) => call === 'try').length]
    calls.push('try')
    if (code !== undefined) throw Object.assign(new Error(code), { code })
  }
  const options = {
    platform: 'win32' as NodeJS.Platform,
    wait: (ms: number) => void calls.push(`wait ${ms}`),
    makeWritable: () => void calls.push('make writable'),
  }
  return { calls, operation, options }
}

describe('removing or replacing a file on Windows', () => {
  it('waits for whoever has it open, and takes a read-only attribute away (case 59)', () => {
    const { calls, operation, options } = failing(['EPERM', 'EBUSY'])
    insistOn(operation, 'file', options)
    expect(calls).toEqual(['try', 'make writable', 'wait 10', 'try', 'wait 20', 'try'])
  })

  it('gives up after about a second, with the reason (case 59)', () => {
    const { calls, operation, options } = failing(Array.from({ length: 20 }, () => 'EBUSY'))
    expect(() => insistOn(operation, 'file', options)).toThrow('EBUSY')
    expect(calls.filter((call) => call === 'try')).toHaveLength(8)
  })

  it('fails at once for any other reason, and on any other system (case 59)', () => {
    const other = failing(['ENOENT'])
    expect(() => insistOn(other.operation, 'file', other.options)).toThrow('ENOENT')
    expect(other.calls).toEqual(['try'])
    const linux = failing(['EBUSY'])
    expect(() => insistOn(linux.operation, 'file', { ...linux.options, platform: 'linux' })).toThrow('EBUSY')
    expect(linux.calls).toEqual(['try'])
  })
})
