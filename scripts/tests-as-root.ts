/**
 * Tests that mount file systems, or that compare what root alone may read. Who is not root runs them in a user namespace
 * (see run-tests.mjs); all others run as whoever started them.
 */
export const testsAsRoot: readonly string[] = [
  'packages/core/test/bundle/bundle.test.ts',
  'packages/core/test/bundle/crash.test.ts',
  'packages/core/test/bundle/engine/any-order.test.ts',
  'packages/core/test/bundle/engine/load-crash.test.ts',
  'packages/core/test/bundle/engine/load-directory.test.ts',
  'packages/core/test/bundle/engine/load-resources.test.ts',
  'packages/core/test/bundle/lower-layer.test.ts',
  'packages/core/test/bundle/second-reader.test.ts',
  'packages/core/test/security/planted-commands.test.ts',
  'packages/core/test/snapshot/git/capture.test.ts',
  'packages/core/test/snapshot/git/processes.test.ts',
  'packages/core/test/snapshot/rollback/full-disk-rollback.test.ts',
  'packages/core/test/workspace/bad-input.test.ts',
  'packages/core/test/workspace/full-disk-session.test.ts',
  'packages/core/test/workspace/versions.test.ts',
  'packages/store-local/test/local-store-full-disk.test.ts',
]
