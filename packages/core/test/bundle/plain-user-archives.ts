/** Takes archives with closed and read-only directories, and prints what came of each, and what is there at the end. */
import { chmodSync, lstatSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { memoryStore } from '@ws/store-memory'
import { extractBundle } from '../../src/bundle/archive/extract-bundle.ts'
import { createBundleStore } from '../../src/bundle/create-bundle-store.ts'
import { directory, file, tarGz } from './tar-blocks.ts'

const [base = ''] = process.argv.slice(2)
process.umask(0o022)
process.env['TMPDIR'] = join(base, 'temporary')
mkdirSync(process.env['TMPDIR'])

const closed = tarGz(directory('closed/', { mode: 0 }), file('closed/file', 'new'))
const readOnly = tarGz(directory('read-only/', { mode: 0o555 }), file('read-only/file', 'new'))
const implied = tarGz(file('kept/file', 'new'))
const occupying = tarGz(file('\u00e9', 'new'))
const open = tarGz(file('file', 'new'))

async function outcomeOf(call: Promise<unknown>): Promise<unknown> {
  return call.then(
    () => 'done',
    (error: unknown) => error,
  )
}

function modeAndContent(path: string): string {
  const mode = (lstatSync(path).mode & 0o777).toString(8)
  chmodSync(path, 0o700)
  const files = readdirSync(path).toSorted()
  return [mode, ...files.map((name) => `${name}: ${readFileSync(join(path, name), 'utf8')}`)].join(', ')
}

async function mergeInto(name: string, mode: number, archive: Buffer): Promise<unknown> {
  const target = join(base, 'merged', String(mode), name)
  mkdirSync(join(target, name), { recursive: true })
  writeFileSync(join(target, name, 'file'), 'old')
  writeFileSync(join(target, name, 'other'), 'old')
  chmodSync(join(target, name), mode)
  const outcome = await outcomeOf(extractBundle(archive, target, { mode: 'merge' }))
  return [outcome, modeAndContent(join(target, name))]
}

const store = createBundleStore(memoryStore())
const upload = await store.upload('w', closed).catch(String)
await store.upload('w', open)

const loaded = join(base, 'loaded')
const loads = []
for (const version of [2, 1, 2]) loads.push(await outcomeOf(store.load('w', loaded, { version })))

const replaced = join(base, 'replaced')
const replacing = []
for (const archive of [closed, closed, open])
  replacing.push(await outcomeOf(extractBundle(archive, replaced)))

process.stdout.write(
  JSON.stringify({
    upload,
    loads,
    replacing,
    merging: {
      readOnly: [
        await mergeInto('read-only', 0o500, readOnly),
        await mergeInto('read-only', 0, readOnly),
        await mergeInto('read-only', 0o755, readOnly),
      ],
      closed: [await mergeInto('closed', 0, closed), await mergeInto('closed', 0o755, closed)],
      implied: [await mergeInto('kept', 0o555, implied), await mergeInto('kept', 0, implied)],
      refused: await mergeInto('\u00e9', 0, occupying),
    },
    left: [...readdirSync(base), ...readdirSync(process.env['TMPDIR'])].toSorted(),
  }),
)
