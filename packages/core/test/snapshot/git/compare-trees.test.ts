import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { compareTrees } from '../../../src/snapshot/git/private/compare-trees.ts'
import type { ObjectReader } from '../../../src/snapshot/git/private/read-object.ts'

type Files = Readonly<Record<string, string>>

// Names that sort before and after a slash, where the order of a tree and that of names differ.
const segment = fc.constantFrom('a', 'a-b', 'a.b', 'a0', 'b', 'b-', 'c')
const place = fc.array(segment, { minLength: 1, maxLength: 3 }).map((names) => names.join('/'))
const files = fc
  .dictionary(place, fc.constantFrom('one', 'two', 'three'), { maxKeys: 12 })
  .map((entries) => withoutClashes(entries))

describe('comparing two trees', () => {
  it('finds every path that differs, directories included, and nothing else', () => {
    fc.assert(
      fc.property(files, files, fc.boolean(), (from, to, isSorted) => {
        const { read, write } = createObjects(isSorted)
        const [before, after] = [write(from), write(to)]
        const changes = compareTrees(read, before.root, after.root)
        const expected = new Map(
          [...new Set([...before.ids.keys(), ...after.ids.keys()])]
            .map((path) => [path, { before: before.ids.get(path), after: after.ids.get(path) }] as const)
            .filter(([, sides]) => sides.before !== sides.after),
        )
        expect(
          new Map(
            [...(changes ?? [])].map(([path, sides]) => [
              path,
              { before: textOf(sides.before), after: textOf(sides.after) },
            ]),
          ),
        ).toEqual(expected)
      }),
      { numRuns: 500 },
    )
  })

  it('fails on what is no tree', () => {
    for (const content of ['100644 a', '100644 a\0short', `nospace\0${'x'.repeat(20)}`]) {
      const read: ObjectReader = (id) => ({
        type: 'tree',
        content: id === 'a'.repeat(40) ? Buffer.from(content) : Buffer.alloc(0),
      })
      expect(() => compareTrees(read, 'a'.repeat(40), 'b'.repeat(40)), content).toThrow(RangeError)
    }
  })
})

const textOf = (side: { readonly mode: string; readonly id: string } | null): string | undefined =>
  side === null ? undefined : `${side.mode} ${side.id}`

/** A path cannot be a file and a directory. */
function withoutClashes(entries: Files): Files {
  const names = Object.keys(entries)
  return Object.fromEntries(
    Object.entries(entries).filter(([path]) => !names.some((name) => name.startsWith(`${path}/`))),
  )
}

/** @param isSorted whether the entries of a tree are in git's order, or in one that nobody should go by */
function createObjects(isSorted: boolean) {
  const objects = new Map<string, Buffer>()
  const read: ObjectReader = (id) => {
    const content = objects.get(id)
    return content === undefined ? null : { type: 'tree', content }
  }
  const write = (all: Files) => {
    const ids = new Map<string, string>()
    const writeTree = (lead: string): string => {
      const inside = Object.keys(all).filter((path) => path.startsWith(lead))
      const names = [
        ...new Set(inside.map((path) => path.slice(lead.length).replace(/\/.*$/, '/'))),
      ].toSorted()
      const parts = (isSorted ? names : names.toReversed()).map((name) => {
        const path = lead + name.replace('/', '')
        const id = name.endsWith('/') ? writeTree(`${path}/`) : hashOf(all[path] ?? '')
        const mode = name.endsWith('/') ? '40000' : '100644'
        ids.set(path, `${mode.padStart(6, '0')} ${id}`)
        return Buffer.concat([Buffer.from(`${mode} ${name.replace('/', '')}\0`), Buffer.from(id, 'hex')])
      })
      const content = Buffer.concat(parts)
      const id = hashOf(content)
      objects.set(id, content)
      return id
    }
    return { root: writeTree(''), ids }
  }
  return { read, write }
}

const hashOf = (content: string | Buffer): string => createHash('sha1').update(content).digest('hex')
