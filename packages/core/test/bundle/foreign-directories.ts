/** Replaces directories that hold what somebody else owns, and prints what came of it. */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { memoryStore } from '@ws/store-memory'
import { extractBundle } from '../../src/bundle/archive/extract-bundle.ts'
import { createBundleStore } from '../../src/bundle/create-bundle-store.ts'
import { abandonWorkDirectory, createWorkDirectory } from '../../src/filesystem/work-directory.ts'
import { file, tarGz } from './tar-blocks.ts'

const [base = ''] = process.argv.slice(2)

async function outcomeOf(call: Promise<unknown>): Promise<unknown> {
  return call.then(
    () => 'done',
    (error: unknown) => error,
  )
}

const source = join(base, 'source')
mkdirSync(source)
writeFileSync(join(source, 'plain'), 'new')
const store = createBundleStore(memoryStore())
await store.save('w', source, { message: '' })
const archive = tarGz(file('plain', 'new'))

/** What an earlier call could not remove. */
const target = join(base, 'target')
mkdirSync(target)
const work = createWorkDirectory(target, false)
renameSync(join(base, 'rubbish'), join(work.path, 'old'))
abandonWorkDirectory(work.path)
renameSync(work.path, `${work.path}-completed`)

process.stdout.write(
  JSON.stringify({
    loaded: await outcomeOf(store.load('w', join(base, 'loaded'))),
    extracted: await outcomeOf(extractBundle(archive, join(base, 'extracted'))),
    moved: await outcomeOf(store.load('w', join(base, 'moved'))),
    plain: ['loaded', 'extracted', 'moved'].map((name) => readFileSync(join(base, name, 'plain'), 'utf8')),
    besideRubbish: await outcomeOf(store.load('w', target)),
  }),
)
