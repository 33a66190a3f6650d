import { defineConfig } from 'tsup'

export default defineConfig({
  entry: {
    index: 'src/index.ts',
    'capture-worker': 'src/snapshot/hash/capture-worker.ts',
    'stat-worker': 'src/snapshot/git/walk/stat-worker.ts',
    'bundle-worker': 'src/bundle/archive/bundle-worker.ts',
    'restore-worker': 'src/bundle/engine/load/restore-worker.ts',
    'reading-worker': 'src/bundle/engine/save/reading-worker.ts',
    'save-worker': 'src/bundle/engine/save/save-worker.ts',
  },
  format: 'esm',
  // Threads share no state with the host, and each file that is loaded costs a millisecond or two of every start.
  splitting: false,
  dts: { entry: 'src/index.ts' },
  sourcemap: true,
  clean: true,
  target: 'node22',
  tsconfig: '../../tsconfig.base.json',
})
