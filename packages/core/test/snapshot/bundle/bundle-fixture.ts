import {
  openBundleBackend,
  type OpenBundleBackendOptions,
} from '../../../src/snapshot/bundle/open-bundle-backend.ts'
import type { SnapshotBackend } from '../../../src/snapshot/snapshot-backend.ts'
import { describeTree as describeTreeBut } from '../../support/describe-tree.ts'
import { createPlainFixture, writeFirstFiles, type PlainFixture } from '../plain-fixture.ts'

export { collect } from '../plain-fixture.ts'

export interface Fixture extends PlainFixture {
  readonly open: (options?: Partial<OpenBundleBackendOptions>) => Promise<SnapshotBackend>
}

/** A plain directory with `a.txt` and `src/b.txt`, gone after the test. */
export function createFixture(): Fixture {
  const fixture = createPlainFixture()
  const { path, stateDirectory } = fixture
  writeFirstFiles(fixture)
  return { ...fixture, open: (options) => openBundleBackend({ path, stateDirectory, ...options }) }
}

/** Everything below a directory, `.git` as well. */
export function describeTree(root: string): Record<string, string> {
  return describeTreeBut(root, { skip: [] })
}
