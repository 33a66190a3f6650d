import type { SavedTree } from '../../../src/bundle/engine/save/saved-tree.ts'

/** What saving a directory returns, for tests of everything that does not look into packs. */
export function fakeTree(reused: readonly string[], newPacks: readonly string[]): SavedTree {
  const nothing = { files: 0, bytes: 0 }
  return {
    root: { node: '0'.repeat(64), mode: 0o755, mtimeSeconds: 0, mtimeNanoseconds: 0 },
    packs: [...reused, ...newPacks].map((id) => ({ id, bytes: 100, indexBytes: 60 })),
    newPacks,
    stats: { files: 0, directories: 0, symlinks: 0, contentBytes: 0 },
    added: nothing,
    changed: nothing,
    removed: nothing,
    unchanged: nothing,
    reusedBytes: 0,
    uploadedBytes: newPacks.length * 100,
    excluded: [],
    skipped: [],
    unstable: [],
  }
}
