import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { defineConfig } from 'vitest/config'
import { testsAsRoot } from './scripts/tests-as-root.ts'

/** Packages resolve each other's `src` through this export condition, so no test needs a build. */
const conditions = ['@ws/source', 'node', 'import', 'default']

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
    // Most tests wait for processes that they started; the default leaves one of two cores to nobody.
    maxWorkers: '100%',
    projects: [...readdirSync('packages').map((name) => `packages/${name}`), 'examples']
      .filter((folder) => existsSync(`${folder}/test`) && testsIn(folder).include.length > 0)
      .map((folder) => ({
        extends: true as const,
        test: {
          name: folder.replace('packages/', ''),
          root: folder,
          ...testsIn(folder),
          testTimeout: 120_000,
          hookTimeout: 120_000,
          // Hundreds of tests start Node processes on our sources: half of their time went into stripping types.
          env: { NODE_COMPILE_CACHE: join(process.cwd(), 'node_modules/.cache/node-compile') },
        },
      })),
  },
})
