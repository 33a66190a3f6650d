import { createHash } from 'node:crypto'
import { resolve } from 'node:path'
import { describeValue } from '../describe-value.ts'
import { WorkspaceError } from '../errors.ts'

const MAX_NAME_LENGTH = 80

/** An id for a directory that has none: its name, and a part of its path's hash. @throws `INVALID_INPUT` */
export function makeWorkspaceId(path: string): string {
  if (typeof path !== 'string' || path === '') {
    const given =
      path === ''
        ? 'this one is empty'
        : `a text, not ${describeValue(path)}; fileURLToPath(url) makes one of a URL`
    throw new WorkspaceError('INVALID_INPUT', `A workspace needs the path of a directory: ${given}.`)
  }
  const absolute = resolve(path)
  const name = (absolute.split(/[/\\]/).at(-1) ?? '')
    .replace(/[^A-Za-z0-9._-]/g, '-')
    .replace(/^[^A-Za-z0-9]+/, '')
  const hash = createHash('sha256').update(absolute).digest('hex').slice(0, 12)
  return `${name.slice(0, MAX_NAME_LENGTH) || 'workspace'}-${hash}`
}
