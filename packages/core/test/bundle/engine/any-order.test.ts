import { Buffer } from 'node:buffer'
import { linkSync, lstatSync, mkdirSync, mkdtempSync, rmSync, utimesSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { memoryStore } from '@ws/store-memory'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createBundleStore } from '../../../src/bundle/create-bundle-store.ts'
import { applyEdit, edit, type Edit } from '../../snapshot/agreement/apply-edits.ts'
import { listDirectory, type Listing } from './saved-files.ts'

/** What is older than this is believed to be as it was read, by the clock that the test moves. */
const SETTLED_AFTER_MS = 3_000
/** Changes on both sides of this have different times. */
const FILE_SYSTEM_STEP_MS = 12
const WHOLE_SECOND = 1_700_000_000

/** Two directories of one workspace, as two machines have them; each remembers what it has seen. */
const place = fc.constantFrom('here' as const, 'there' as const)

type Step =
  | { readonly kind: 'edit'; readonly place: 'here' | 'there'; readonly edits: readonly Edit[] }
  | {
      readonly kind: 'hard link'
      readonly place: 'here' | 'there'
      readonly from: string
      readonly to: string
    }
  | { readonly kind: 'save'; readonly place: 'here' | 'there' }
  | { readonly kind: 'hidden edit'; readonly place: 'here' | 'there' }
  | { readonly kind: 'settle'; readonly place: 'here' | 'there' }
  | { readonly kind: 'load'; readonly place: 'here' | 'there'; readonly version: number }
  | {
      readonly kind: 'load a part'
      readonly place: 'here' | 'there'
      readonly version: number
      readonly part: string
    }

const topName = fc.constantFrom('a', 'b', 'c', 'a.b', 'a0')
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('edit' as const),
      place,
      edits: fc.array(edit, { minLength: 1, maxLength: 6 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('hard link' as const), place, from: topName, to: topName }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('save' as const), place }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('hidden edit' as const), place }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('settle' as const), place }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('load' as const), place, version: fc.nat() }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('load a part' as const),
      place,
      version: fc.nat(),
      part: topName,
    }),
  },
)

let later = 0
beforeEach(() => {
  const { now } = Date
  vi.spyOn(Date, 'now').mockImplementation(() => now() + later)
})
afterEach(() => vi.restoreAllMocks())

describe('edits, saves and loads in any order', () => {
  it('give back each version as its directory was, whatever is there and whatever is remembered', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 4, maxLength: 16 }), async (steps) => {
        const base = mkdtempSync(join(tmpdir(), 'ws-any-order-'))
        try {
          await play(base, steps)
        } finally {
          rmSync(base, { recursive: true, force: true })
        }
      }),
      { numRuns: 60 },
    )
  })
})

async function play(base: string, steps: readonly Step[]): Promise<void> {
  const bundles = createBundleStore(memoryStore())
  const saved: Listing[] = []
  const open = (name: string): { readonly path: string; readonly cacheDirectory: string } => {
    const path = join(base, name)
    const cacheDirectory = join(base, `${name}-cache`)
    for (const each of [path, cacheDirectory]) mkdirSync(each)
    return { path, cacheDirectory }
  }
  const places = { here: open('here'), there: open('there') }
  for (const each of steps) {
    const { path, cacheDirectory } = places[each.place]
    switch (each.kind) {
      case 'edit':
        for (const one of each.edits) {
          applyEdit(path, one)
          if (one.kind === 'write') setWholeSecond(path, one.path)
        }
        break
      case 'hard link':
        linkOver(join(path, each.from), join(path, each.to))
        break
      case 'hidden edit':
        for (const file of Object.keys(listDirectory(path)))
          applyEdit(path, { kind: 'swap-content', path: file.split('/') })
        break
      case 'settle':
        later += SETTLED_AFTER_MS
        await sleep(FILE_SYSTEM_STEP_MS)
        break
      case 'save': {
        const before = listDirectory(path)
        const { version } = await bundles.save('w', path, { message: '', cacheDirectory })
        saved.push(before)
        expect(version.version).toBe(saved.length)
        break
      }
      case 'load': {
        if (saved.length === 0) break
        const version = 1 + (each.version % saved.length)
        await bundles.load('w', path, { version, cacheDirectory })
        expectSame(listDirectory(path), saved[version - 1], `version ${version}`)
        break
      }
      case 'load a part': {
        if (saved.length === 0) break
        const version = 1 + (each.version % saved.length)
        const { part } = each
        const inPart = ([name]: readonly [string, string]): boolean =>
          name === part || name.startsWith(`${part}/`)
        const wanted = Object.entries(saved[version - 1] ?? {}).filter(inPart)
        const others = Object.entries(listDirectory(path)).filter((entry) => !inPart(entry))
        const loading = bundles.load('w', path, { version, paths: [part], cacheDirectory })
        if (wanted.length === 0) await expect(loading).rejects.toMatchObject({ code: 'NOT_FOUND' })
        else {
          await loading
          expectSame(
            listDirectory(path),
            Object.fromEntries([...wanted, ...others]),
            `${part} of version ${version}`,
          )
        }
      }
    }
  }
  const fresh = join(base, 'fresh')
  for (const [index, listing] of saved.entries()) {
    await bundles.load('w', fresh, { version: index + 1 })
    expectSame(listDirectory(fresh), listing, `version ${index + 1}, read without a memory`)
  }
}

/** A time that `swap-content` can put back exactly: then only the change time shows that the content is another one. */
function setWholeSecond(root: string, parts: readonly string[]): void {
  const file = Buffer.from([root, ...parts].join('/'), 'latin1')
  utimesSync(file, WHOLE_SECOND, WHOLE_SECOND)
}

function linkOver(from: string, to: string): void {
  if (from === to || lstatSync(from, { throwIfNoEntry: false })?.isFile() !== true) return
  rmSync(to, { recursive: true, force: true })
  linkSync(from, to)
}

/** Node sets times in microseconds, rounded as a double of seconds. */
function expectSame(found: Listing, wanted: Listing | undefined, what: string): void {
  expect(withoutTimes(found), what).toEqual(withoutTimes(wanted ?? {}))
  for (const [path, fact] of Object.entries(wanted ?? {})) {
    const difference = timeOf(found[path] ?? '') - timeOf(fact)
    expect(
      Math.abs(Number(difference)),
      `${what}, time of ${Buffer.from(path, 'latin1').toString()}`,
    ).toBeLessThan(2_000)
  }
}

const withoutTimes = (listing: Listing): Listing =>
  Object.fromEntries(
    Object.entries(listing).map(([path, fact]) => [path, fact.replace(/^(\w+ [0-7]+) [0-9]+/, '$1')]),
  )
const timeOf = (fact: string): bigint => BigInt(/^\w+ [0-7]+ ([0-9]+)/.exec(fact)?.[1] ?? 0)
