import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { defineConfig } from 'vitest/config'
import { testsAsRoot } from './scripts/tests-as-root.ts'

/** Packages resolve each other's `src` through this export condition, so no test needs a build. */
const conditions = ['@ws/source', 'node', 'import', 'default']

/**
 * Most tests wait for processes that they started, so that there are as many at once as cores (the default leaves one of two to
 * nobody). Those of S3 come after the others, one file at a time: R2's server resets connections when it has to wait for a core.
 */
function orderOf(folder: string): { maxWorkers: number | string; sequence: { groupOrder: number } } {
  const comesLast = folder === 'packages/store-s3'
  return { maxWorkers: comesLast ? 1 : '100%', sequence: { groupOrder: comesLast ? 1 : 0 } }
}

/** What is to run, for who is not root; see `scripts/run-tests.mjs`. */
const part = process.env['WS_TESTS']

function testsIn(folder: string): { include: string[]; exclude?: string[] } {
  const asRoot = testsAsRoot
    .filter((path) => path.startsWith(`${folder}/`))
    .map((path) => path.slice(folder.length + 1))
  if (part === 'as-root') return { include: asRoot }
  return { include: ['test/**/*.test.ts'], ...(part === 'as-user' && { exclude: asRoot }) }
}

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions, externalConditions: conditions } },
  test: {
    projects: [...readdirSync('packages').map((name) => `packages/${name}`), 'examples']
      .filter((folder) => existsSync(`${folder}/test`) && testsIn(folder).include.length > 0)
      .map((folder) => ({
        extends: true as const,
        test: {
          name: folder.replace('packages/', ''),
          root: folder,
          ...testsIn(folder),
          ...orderOf(folder),
          // Each start of git makes every page dear that is written to next, and a large young heap has many.
          execArgv: ['--max-semi-space-size=2'],
          testTimeout: 120_000,
          hookTimeout: 120_000,
          // Hundreds of tests start Node processes on our sources: half of their time went into stripping types. The same
          // place as in `scripts/run-tests.mjs`, for who starts vitest alone.
          env: { NODE_COMPILE_CACHE: join(process.cwd(), 'node_modules/.cache/node-compile') },
        },
      })),
  },
})
