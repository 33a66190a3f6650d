import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { promisify } from 'node:util'
import { errorCodes } from '@ws/core'
import { memoryDisk } from '@ws/test-servers'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { startServices, type Services } from './start-services.ts'

const run = promisify(execFile)
const root = dirname(dirname(import.meta.dirname))
/** Inside `examples`, so that a block imports the packages as a user's file does. */
const blocksDirectory = join(root, 'examples', '.documentation')

interface Block {
  readonly page: string
  readonly line: number
  readonly language: string
  readonly code: string
}

const pages = [
  'README.md',
  'CONTRIBUTING.md',
  ...readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md'))
    .map((name) => join('docs', name)),
  ...readdirSync(join(root, 'packages')).map((name) => join('packages', name, 'README.md')),
].filter((page) => existsSync(join(root, page)))

const blocks = pages.flatMap(readBlocks)
const programs = blocks.filter((block) => block.language === 'ts')

function readBlocks(page: string): Block[] {
  const text = readFileSync(join(root, page), 'utf8')
  return [...text.matchAll(/^```([a-z]*)\n(.*?)^```$/gms)].map((match) => ({
    page,
    line: text.slice(0, match.index).split('\n').length,
    language: match[1] ?? '',
    code: match[2] ?? '',
  }))
}

function fileOf(block: Block): string {
  return join(blocksDirectory, `${block.page.replace(/[^a-z]+/gi, '-')}-${block.line}.ts`)
}

/** What the pages promise to be there: a repository in `./repo`, with a README.md. */
async function prepareFolder(): Promise<string> {
  const folder = mkdtempSync(join(memoryDisk(), 'ws-documentation-'))
  const repository = join(folder, 'repo')
  mkdirSync(repository)
  mkdirSync(join(folder, 'tmp'))
  writeFileSync(join(repository, 'README.md'), '# Project\n')
  const git = (...arguments_: string[]) =>
    run('git', ['-c', 'user.name=A', '-c', 'user.email=a@example.com', ...arguments_], { cwd: repository })
  await git('init', '--quiet')
  await git('add', '--all')
  await git('commit', '--quiet', '--message=first')
  return folder
}

let services: Services
beforeAll(async () => {
  services = await startServices()
})
afterAll(() => services.stop())

beforeAll(() => {
  rmSync(blocksDirectory, { recursive: true, force: true })
  mkdirSync(blocksDirectory)
  for (const block of programs) writeFileSync(fileOf(block), block.code)
  writeFileSync(
    join(blocksDirectory, 'tsconfig.json'),
    JSON.stringify({ extends: '../../tsconfig.base.json', include: ['*.ts'], exclude: [] }),
  )
})
afterAll(() => rmSync(blocksDirectory, { recursive: true, force: true }))

describe('every program on a page', () => {
  it('is there to be tested', () => {
    expect(programs.length).toBeGreaterThan(10)
    expect(new Set(programs.map((block) => block.page)).size).toBeGreaterThan(3)
  })

  it('passes the type check', async () => {
    const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
    const { stdout } = await run(process.execPath, [tsc, '-p', blocksDirectory, '--noEmit']).catch(
      (error: { stdout: string }) => error,
    )
    expect(stdout).toBe('')
  })

  it.each(programs.map((block) => [`${block.page}:${block.line}`, block] as const))(
    'runs: %s',
    async (_, block) => {
      const folder = await prepareFolder()
      try {
        await run(process.execPath, ['--conditions=@ws/source', fileOf(block)], {
          cwd: folder,
          env: {
            PATH: process.env['PATH'],
            HOME: folder,
            TMPDIR: join(folder, 'tmp'),
            NODE_COMPILE_CACHE: process.env['NODE_COMPILE_CACHE'],
            XDG_STATE_HOME: join(folder, 'state'),
            ...services.environment,
          },
        })
      } finally {
        rmSync(folder, { recursive: true, force: true })
      }
    },
  )
})

describe('every other block on a page', () => {
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    scripts: Record<string, string>
  }
  /** Taken out of the page and run by the tests of patches. */
  const runElsewhere = /^git .+ apply .+ change\.patch$/
  const commands = blocks
    .filter((block) => block.language === 'sh')
    .flatMap((block) => block.code.split('\n').map((line) => [block.page, line] as const))
    .filter(([, line]) => !runElsewhere.test(line))

  it.each(commands.filter(([, line]) => line.trim() !== ''))(
    'names a command that exists: %s: %s',
    (_, line) => {
      const script = /^(?:npm run|npx pnpm@\S+ run|npx pnpm@\S+|npm) (\S+)/.exec(line)?.[1]
      expect(script, line).toBeDefined()
      expect(['install', ...Object.keys(manifest.scripts)], line).toContain(script)
    },
  )
})

describe('links between pages', () => {
  const links = pages.flatMap((page) =>
    [...readFileSync(join(root, page), 'utf8').matchAll(/\]\((?!https?:|#)([^)#]+)/g)].map(
      (match) => [page, match[1] ?? ''] as const,
    ),
  )
  it.each(links)('lead somewhere: %s -> %s', (page, target) => {
    expect(existsSync(join(root, dirname(page), target))).toBe(true)
  })
})

it('the page about errors lists exactly the codes of the table, with what the table says', () => {
  const rows = readFileSync(join(root, 'docs', 'errors.md'), 'utf8').matchAll(
    /^\| `([A-Z_]+)` \| (yes|no) \| (.+?) \|/gm,
  )
  const documented = [...rows].map(([, code, retry, meaning]) => [code, retry === 'yes', meaning])
  expect(documented).toEqual(
    Object.entries(errorCodes).map(([code, { retryable, meaning }]) => [code, retryable, meaning]),
  )
})

it('no page names a path of the machine that it was written on', () => {
  for (const page of pages)
    expect(readFileSync(join(root, page), 'utf8'), relative(root, page)).not.toMatch(/\/(?:work|root)\//)
})
