/** The arrows of docs/architecture.md as rules. `scripts/check-layer-rules.mjs` proves that each of them bites. */
const layers = ['filesystem', 'store', 'artifact', 'bundle', 'snapshot', 'workspace', 'run']

const upward = layers.slice(0, -1).map((layer, index) => ({
  name: `core-${layer}-looks-down-only`,
  comment: `A layer of core may import itself and the layers before it: ${layers.slice(0, index + 1).join(', ')}.`,
  from: { path: `^packages/core/src/${layer}/` },
  to: { path: `^packages/core/src/(${layers.slice(index + 1).join('|')})/` },
}))

/** Folders inside of a layer, each of which may import itself and those before it. */
const foldersIn = {
  'bundle/engine': ['repository', 'known', 'read', '(save|load)', 'maintain'],
  'snapshot/git': ['table', 'private', 'user', 'walk', 'capture', '(maintain|restore)'],
}

const upwardInside = Object.entries(foldersIn).flatMap(([place, folders]) =>
  folders.slice(0, -1).map((folder, index) => ({
    name: `core-${place}/${folder}-looks-down-only`.replace(/\W+/g, '-'),
    comment: `A folder may import itself and those before it: ${folders.slice(0, index + 1).join(', ')}.`,
    from: { path: `^packages/core/src/${place}/${folder}/` },
    to: { path: `^packages/core/src/${place}/(${folders.slice(index + 1).join('|')})/` },
  })),
)

module.exports = {
  forbidden: [
    { name: 'resolvable', from: {}, to: { couldNotResolve: true } },
    { name: 'no-cycles', from: {}, to: { circular: true } },
    ...upward,
    ...upwardInside,
    {
      name: 'archive-knows-no-versions',
      from: { path: '^packages/core/src/bundle/archive/' },
      to: { path: '^packages/core/src/bundle/engine/' },
    },
    {
      name: 'engine-save-and-load-stay-apart',
      from: { path: '^packages/core/src/bundle/engine/(save|load)/' },
      to: {
        path: '^packages/core/src/bundle/engine/(save|load)/',
        pathNot: '^packages/core/src/bundle/engine/$1/',
      },
    },
    {
      name: 'core-doors-stay-outside',
      comment: 'Only the package door (index.ts) lists names; no layer imports it.',
      from: { path: '^packages/core/src/.+/' },
      to: { path: '^packages/core/src/index\\.ts$' },
    },
    {
      name: 'core-is-a-leaf',
      from: { path: '^packages/core/src' },
      to: { path: '^packages/', pathNot: '^packages/core/' },
    },
    {
      name: 'core-uses-three-libraries',
      comment: 'tar-stream, simple-git and minimatch; never a cloud SDK.',
      from: { path: '^packages/core/src' },
      to: { path: 'node_modules', pathNot: 'node_modules/(tar-stream|simple-git|minimatch|@types)/' },
    },
    {
      name: 'stores-see-core-only',
      from: { path: '^packages/(store-[^/]+)/src' },
      to: { path: '^packages/', pathNot: ['^packages/core/', '^packages/$1/'] },
    },
    {
      name: 'conformance-sees-core-only',
      from: { path: '^packages/conformance/src' },
      to: { path: '^packages/', pathNot: ['^packages/core/', '^packages/conformance/'] },
    },
    {
      name: 'report-sees-core-only',
      from: { path: '^packages/report/src' },
      to: { path: '^packages/', pathNot: ['^packages/core/', '^packages/report/'] },
    },
    {
      name: 'no-deep-imports',
      from: { path: '^(packages|examples)/([^/]+)/' },
      to: {
        path: '^packages/([^/]+)/src/.+',
        pathNot: ['^packages/$2/', '^packages/[^/]+/src/index\\.ts$'],
      },
    },
  ].map((rule) => ({ severity: 'error', ...rule })),
  options: {
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.base.json' },
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '^packages/[^/]+/dist/|^packages/[^/]+/tsup\\.config\\.ts$' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['@ws/source', 'import', 'types', 'default'],
    },
  },
}
