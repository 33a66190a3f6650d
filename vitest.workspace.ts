import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { defineConfig } from 'vitest/config'

/** Packages resolve each other's `src` through this export condition, so no test needs a build. */
const conditions = ['@ws/source', 'node', 'import', 'default']

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions, externalConditions: conditions } },
  test: {
    projects: [...readdirSync('packages').map((name) => `packages/${name}`), 'examples']
      .filter((folder) => existsSync(`${folder}/test`))
      .map((folder) => ({
        extends: true as const,
        test: {
          name: folder.replace('packages/', ''),
          root: folder,
          include: ['test/**/*.test.ts'],
          testTimeout: 120_000,
          hookTimeout: 120_000,
          // Hundreds of tests start Node processes on our sources: half of their time went into stripping types.
          env: { NODE_COMPILE_CACHE: join(process.cwd(), 'node_modules/.cache/node-compile') },
        },
      })),
  },
})
