import { existsSync, readdirSync } from 'node:fs'
import { defineConfig } from 'vitest/config'

/** Packages resolve each other's `src` through this export condition, so no test needs a build. */
const conditions = ['@ws/source', 'node', 'import', 'default']

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions, externalConditions: conditions } },
  test: {
    projects: readdirSync('packages')
      .filter((name) => existsSync(`packages/${name}/test`))
      .map((name) => ({
        extends: true as const,
        test: {
          name,
          root: `packages/${name}`,
          include: ['test/**/*.test.ts'],
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      })),
  },
})
