/**
 * Looks at the packages as a user gets them: packs each, lints the tarball and its types, then installs all tarballs
 * into an empty folder with npm and runs a program there. Needs a build.
 */
import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const binaries = join(root, 'node_modules', '.bin')
const folder = mkdtempSync(join(tmpdir(), 'ws-packages-'))

const program = `
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { createArtifactStore, createBundle, executeRun, extractBundle, openStore, Workspace, WorkspaceError } from '@ws/core'
import { runChecks } from '@ws/conformance'
import { renderReport } from '@ws/report'
import { localStore } from '@ws/store-local'
import { memoryStore } from '@ws/store-memory'

const same = (left, right) => {
  if (left !== right) throw new Error(JSON.stringify(left) + ' is not ' + JSON.stringify(right))
}
same([Workspace, WorkspaceError].map(({ name }) => name).join(), 'Workspace,WorkspaceError')
await mkdir('work/deep', { recursive: true })
for (let index = 0; index < 5000; index += 1) await writeFile('work/deep/' + index, 'file ' + index)
const store = localStore({ root: 'store' })
const workspace = new Workspace({ id: 'w', path: 'work', store, stateDir: 'state' })
const result = await executeRun(workspace, ({ path }) => writeFile(path + '/new.txt', 'x'), { strategy: 'hash', save: 'first' })
same(result.workspace.error, undefined)
same(result.workspace.diff.changedPaths.join(), 'new.txt')
const copy = new Workspace({ id: 'w', path: 'copy', store: await openStore('file:store'), stateDir: 'state' })
same((await copy.load()).version.version, 1)
same(await readFile('copy/deep/4999', 'utf8'), 'file 4999')
await extractBundle(createBundle('work'), 'extracted')
same(await readFile('extracted/new.txt', 'utf8'), 'x')
same(renderReport(result).includes('new.txt'), true)
process.env.AZURE_STORAGE_KEY = 'a2V5'
for (const url of ['s3://bucket?region=eu-central-1', 'gs://bucket', 'azure://container?account=me'])
  same((await openStore(url)).capabilities.remote, true)
await createArtifactStore(memoryStore()).put('a', 'b')
same((await runChecks(() => memoryStore())).failed, 0)
console.log('the packed packages work')
`

try {
  const names = readdirSync(join(root, 'packages'))
  const tarballs = []
  const checkNext = async () => {
    for (let name = names.shift(); name !== undefined; name = names.shift())
      tarballs.push(...(await checkPackage(join(root, 'packages', name), join(folder, 'tarballs', name))))
  }
  await Promise.all(Array.from({ length: availableParallelism() }, checkNext))
  const project = join(folder, 'project')
  mkdirSync(project)
  writeFileSync(join(project, 'package.json'), '{ "private": true, "type": "module" }')
  writeFileSync(join(project, 'main.js'), program)
  await run('npm', ['install', '--no-audit', '--no-fund', '--prefer-offline', ...tarballs], project)
  console.log(`ok   ${(await run(process.execPath, ['main.js'], project)).trim()}`)
} catch (error) {
  console.error(`FAIL ${error.message}`)
  process.exitCode = 1
} finally {
  rmSync(folder, { recursive: true, force: true })
}

/** @returns the tarball; none for a private package */
async function checkPackage(directory, destination) {
  const manifest = JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8'))
  if (manifest.private === true) return []
  mkdirSync(destination, { recursive: true })
  await run('npx', ['--yes', 'pnpm@12.21.0', 'pack', '--pack-destination', destination], directory)
  const tarball = join(destination, readdirSync(destination)[0])
  const strays = (await run('tar', ['-tzf', tarball], directory))
    .split('\n')
    .filter((path) => !/^(package\/(dist\/[\w.-]+|README\.md|LICENSE|package\.json))?$/.test(path))
  if (strays.length > 0) throw new Error(`${manifest.name} would publish ${strays.join(', ')}`)
  await run(join(binaries, 'publint'), ['run', tarball, '--strict'], directory)
  await run(join(binaries, 'attw'), [tarball, '--profile', 'esm-only', '--no-emoji'], directory)
  console.log(`ok   ${manifest.name}: tarball and types`)
  return [tarball]
}

function run(command, arguments_, cwd) {
  const options = { cwd, shell: process.platform === 'win32', maxBuffer: 64 * 1024 * 1024 }
  return new Promise((resolve, reject) => {
    execFile(command, arguments_, options, (error, stdout, stderr) => {
      if (error === null) resolve(stdout)
      else reject(new Error(`${command} ${arguments_.join(' ')}\n${stdout}${stderr}${error.message}`))
    })
  })
}
