import {
  chmodSync,
  lstatSync,
  mkdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import fc from 'fast-check'

/** One step of somebody working in a directory. Paths are lists of names, names are bytes in Latin-1. */
export type Edit =
  | {
      readonly kind: 'write'
      readonly path: readonly string[]
      readonly content: Uint8Array
      readonly mode: number
    }
  | { readonly kind: 'swap-content'; readonly path: readonly string[] }
  | { readonly kind: 'remove'; readonly path: readonly string[] }
  | { readonly kind: 'rename'; readonly path: readonly string[]; readonly to: readonly string[] }
  | { readonly kind: 'chmod'; readonly path: readonly string[]; readonly mode: number }
  | { readonly kind: 'link'; readonly path: readonly string[]; readonly target: string }
  | { readonly kind: 'directory'; readonly path: readonly string[]; readonly mode: number }

/** Few of them, so that edits meet. The odd ones: not UTF-8, U+FFFD itself, a newline, quotes, glob and option characters. */
const name = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom('a', 'b', 'c', 'a.b', 'a0') },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      '\xff\xfe',
      '\xef\xbf\xbd',
      'new\nline',
      '"quo\\ted"',
      '*',
      '-n',
      ' ',
      ':(top)',
      '\xc3\xa9',
      '.hidden',
    ),
  },
)
const path = fc.array(name, { minLength: 1, maxLength: 3 })
const content = fc.oneof(
  fc.constantFrom('', 'same\n', 'line 1\nline 2\n', 'crlf\r\n', 'no end').map((text) => Buffer.from(text)),
  fc.uint8Array({ minLength: 1, maxLength: 40 }),
)
const fileMode = fc.constantFrom(0o644, 0o755, 0o600, 0o700, 0o444, 0o664)

export const edit: fc.Arbitrary<Edit> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('write' as const), path, content, mode: fileMode }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('swap-content' as const), path }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('remove' as const), path }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('rename' as const), path, to: path }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('chmod' as const), path, mode: fileMode }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('link' as const),
      path,
      target: fc.constantFrom('a', 'b/c', '..', '/etc/passwd', '\xff', 'nowhere'),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('directory' as const),
      path,
      mode: fc.constantFrom(0o755, 0o700, 0o775),
    }),
  },
)

/** Does the step, making room for it: whatever stands in its way goes. A step about something that is not there is none. */
export function applyEdit(root: string, step: Edit): void {
  const target = locate(root, step.path)
  switch (step.kind) {
    case 'write':
      makeRoom(root, step.path)
      writeFileSync(target, step.content)
      chmodSync(target, step.mode)
      return
    case 'swap-content': {
      if (!isThere(root, step.path)) return
      const stats = lstatSync(target)
      if (!stats.isFile() || stats.size === 0) return
      const { atime, mtime } = statSync(target)
      chmodSync(target, stats.mode | 0o200)
      writeFileSync(target, Buffer.alloc(stats.size, `${stats.ctimeMs}`))
      chmodSync(target, stats.mode)
      utimesSync(target, atime, mtime)
      return
    }
    case 'remove':
      if (isThere(root, step.path)) rmSync(target, { recursive: true })
      return
    case 'rename': {
      const inside = step.path.every((part, index) => part === step.to[index])
      const covers = step.to.every((part, index) => part === step.path[index])
      if (inside || covers || !isThere(root, step.path)) return
      makeRoom(root, step.to)
      if (isThere(root, step.path)) renameSync(target, locate(root, step.to))
      return
    }
    case 'chmod':
      if (isThere(root, step.path) && lstatSync(target).isFile()) chmodSync(target, step.mode)
      return
    case 'link':
      makeRoom(root, step.path)
      symlinkSync(Buffer.from(step.target, 'latin1'), target)
      return
    case 'directory':
      makeRoom(root, step.path)
      mkdirSync(target)
      chmodSync(target, step.mode)
  }
}

function locate(root: string, parts: readonly string[]): Buffer {
  return Buffer.concat([Buffer.from(root), ...parts.map((part) => Buffer.from(`/${part}`, 'latin1'))])
}

/** Through directories only, never through a link. */
function isThere(root: string, parts: readonly string[]): boolean {
  return parts.every((_, index) => {
    const stats = lstatSync(locate(root, parts.slice(0, index + 1)), { throwIfNoEntry: false })
    return stats !== undefined && (index === parts.length - 1 || stats.isDirectory())
  })
}

function makeRoom(root: string, parts: readonly string[]): void {
  for (const index of parts.keys()) {
    const place = locate(root, parts.slice(0, index + 1))
    const stats = lstatSync(place, { throwIfNoEntry: false })
    const isLast = index === parts.length - 1
    if (stats !== undefined && (isLast || !stats.isDirectory())) rmSync(place, { recursive: true })
    if (!isLast && stats?.isDirectory() !== true) mkdirSync(place)
  }
}
