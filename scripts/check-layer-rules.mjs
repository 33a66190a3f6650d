/**
 * Proves that each layer rule bites: for every rule there is one import that must break it, and a tree without bad
 * imports must break none. A rule without such a fixture fails the check.
 */
import { mkdtempSync, mkdirSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const config = createRequire(import.meta.url)(join(root, '.dependency-cruiser.cjs'))

const clean = {
  'packages/core/src/index.ts': "export * from './run/execute-run.ts'\n",
  'packages/core/src/errors.ts': 'export const codes = 1\n',
  'packages/core/src/filesystem/lock.ts': "export { codes as lock } from '../errors.ts'\n",
  'packages/core/src/store/store.ts': "export { lock as store } from '../filesystem/lock.ts'\n",
  'packages/core/src/artifact/artifact.ts': "export { store as artifact } from '../store/store.ts'\n",
  'packages/core/src/bundle/bundle.ts': "export { store as bundle } from '../store/store.ts'\n",
  'packages/core/src/bundle/engine/read/read.ts': "export { store as read } from '../../../store/store.ts'\n",
  'packages/core/src/bundle/engine/save/save.ts': "export { read as save } from '../read/read.ts'\n",
  'packages/core/src/bundle/engine/load/load.ts': "export { read as load } from '../read/read.ts'\n",
  'packages/core/src/bundle/engine/maintain/prune.ts': "export { save as prune } from '../save/save.ts'\n",
  'packages/core/src/snapshot/git/walk/walk.ts': "export { store as walk } from '../../../store/store.ts'\n",
  'packages/core/src/snapshot/git/capture/capture.ts': "export { walk as capture } from '../walk/walk.ts'\n",
  'packages/core/src/snapshot/git/restore/restore.ts':
    "export { capture as restore } from '../capture/capture.ts'\n",
  'packages/core/src/snapshot/snapshot.ts': "export { bundle as snapshot } from '../bundle/bundle.ts'\n",
  'packages/core/src/workspace/workspace.ts':
    "export { snapshot as workspace } from '../snapshot/snapshot.ts'\n",
  'packages/core/src/run/execute-run.ts': "export { workspace as run } from '../workspace/workspace.ts'\n",
  'packages/store-x/src/index.ts': "export * from './x-store.ts'\n",
  'packages/store-x/src/x-store.ts': "export { run } from '../../core/src/index.ts'\n",
  'packages/store-y/src/index.ts': 'export const y = 1\n',
  'packages/conformance/src/index.ts': "export { run } from '../../core/src/index.ts'\n",
  'packages/report/src/index.ts': "export { run } from '../../core/src/index.ts'\n",
  'examples/main.ts': "export { run } from '../packages/core/src/index.ts'\n",
}

const bad = {
  resolvable: { 'packages/core/src/store/bad.ts': "export * from './nothing.ts'\n" },
  'no-cycles': {
    'packages/core/src/store/bad.ts': "import './worse.ts'\nexport const bad = 1\n",
    'packages/core/src/store/worse.ts': "import './bad.ts'\nexport const worse = 1\n",
  },
  'core-filesystem-looks-down-only': {
    'packages/core/src/filesystem/bad.ts': "export * from '../store/store.ts'\n",
  },
  'core-store-looks-down-only': {
    'packages/core/src/store/bad.ts': "export * from '../artifact/artifact.ts'\n",
  },
  'core-artifact-looks-down-only': {
    'packages/core/src/artifact/bad.ts': "export * from '../bundle/bundle.ts'\n",
  },
  'core-bundle-looks-down-only': {
    'packages/core/src/bundle/bad.ts': "export * from '../snapshot/snapshot.ts'\n",
  },
  'core-snapshot-looks-down-only': {
    'packages/core/src/snapshot/bad.ts': "export * from '../workspace/workspace.ts'\n",
  },
  'core-workspace-looks-down-only': {
    'packages/core/src/workspace/bad.ts': "import type {} from '../run/execute-run.ts'\n",
  },
  'archive-knows-no-versions': {
    'packages/core/src/bundle/archive/bad.ts': "export * from '../engine/read/read.ts'\n",
  },
  'core-bundle-engine-repository-looks-down-only': {
    'packages/core/src/bundle/engine/repository/bad.ts': "export * from '../read/read.ts'\n",
  },
  'core-bundle-engine-known-looks-down-only': {
    'packages/core/src/bundle/engine/known/bad.ts': "export * from '../read/read.ts'\n",
  },
  'core-bundle-engine-read-looks-down-only': {
    'packages/core/src/bundle/engine/read/bad.ts': "export * from '../load/load.ts'\n",
  },
  'core-bundle-engine-save-load-looks-down-only': {
    'packages/core/src/bundle/engine/save/bad.ts': "export * from '../maintain/prune.ts'\n",
  },
  'engine-save-and-load-stay-apart': {
    'packages/core/src/bundle/engine/save/bad.ts': "export * from '../load/load.ts'\n",
  },
  'core-snapshot-git-table-looks-down-only': {
    'packages/core/src/snapshot/git/table/bad.ts': "export * from '../walk/walk.ts'\n",
  },
  'core-snapshot-git-private-looks-down-only': {
    'packages/core/src/snapshot/git/private/bad.ts': "export * from '../walk/walk.ts'\n",
  },
  'core-snapshot-git-user-looks-down-only': {
    'packages/core/src/snapshot/git/user/bad.ts': "export * from '../walk/walk.ts'\n",
  },
  'core-snapshot-git-walk-looks-down-only': {
    'packages/core/src/snapshot/git/walk/bad.ts': "export * from '../capture/capture.ts'\n",
  },
  'core-snapshot-git-capture-looks-down-only': {
    'packages/core/src/snapshot/git/capture/bad.ts': "export * from '../restore/restore.ts'\n",
  },
  'core-doors-stay-outside': { 'packages/core/src/run/bad.ts': "import type {} from '../index.ts'\n" },
  'core-is-a-leaf': { 'packages/core/src/store/bad.ts': "export * from '../../../store-y/src/index.ts'\n" },
  'core-uses-three-libraries': { 'packages/core/src/store/bad.ts': "import type {} from 'vitest'\n" },
  'stores-see-core-only': { 'packages/store-x/src/bad.ts': "export * from '../../store-y/src/index.ts'\n" },
  'conformance-sees-core-only': {
    'packages/conformance/src/bad.ts': "export * from '../../store-y/src/index.ts'\n",
  },
  'report-sees-core-only': { 'packages/report/src/bad.ts': "export * from '../../store-y/src/index.ts'\n" },
  'no-deep-imports': { 'packages/store-x/src/bad.ts': "export * from '../../core/src/errors.ts'\n" },
}

/** Each as the rule and the file that breaks it. */
function violations(files) {
  const directory = realpathSync(mkdtempSync(join(tmpdir(), 'ws-layers-')))
  try {
    for (const [path, content] of Object.entries(files)) {
      mkdirSync(dirname(join(directory, path)), { recursive: true })
      writeFileSync(join(directory, path), content)
    }
    symlinkSync(join(root, 'node_modules'), join(directory, 'node_modules'))
    symlinkSync(join(root, 'tsconfig.base.json'), join(directory, 'tsconfig.base.json'))
    const tool = join(root, 'node_modules', 'dependency-cruiser', 'bin', 'dependency-cruiser.mjs')
    const configuration = join(root, '.dependency-cruiser.cjs')
    const result = spawnSync(
      process.execPath,
      [tool, '--config', configuration, '--output-type', 'json', 'packages', 'examples'],
      { cwd: directory, encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 },
    )
    if (result.stdout === '') throw new Error(result.stderr)
    return JSON.parse(result.stdout).summary.violations.map(({ rule, from }) => `${rule.name} ${from}`)
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

let failures = 0
const report = (isRight, sentence) => {
  if (!isRight) failures += 1
  console.log(`${isRight ? 'ok  ' : 'FAIL'} ${sentence}`)
}

/** Under names of its own, so that one look at one tree shows what all of them break. */
function named(rule, files) {
  const own = (text) => text.replaceAll('bad.ts', `bad-${rule}.ts`).replaceAll('worse.ts', `worse-${rule}.ts`)
  return Object.entries(files).map(([path, content]) => [own(path), own(content)])
}

report(violations(clean).length === 0, 'a tree that follows the rules breaks none')
const found = violations({
  ...clean,
  ...Object.fromEntries(Object.entries(bad).flatMap(([rule, files]) => named(rule, files))),
})
for (const { name } of config.forbidden) {
  if (bad[name] === undefined) report(false, `${name} has no fixture that breaks it`)
  else
    report(
      named(name, bad[name]).some(([path]) => found.includes(`${name} ${path}`)),
      `${name} bites`,
    )
}
process.exit(failures === 0 ? 0 : 1)
