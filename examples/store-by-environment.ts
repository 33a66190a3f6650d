/** Which store a deployment uses is one line of its environment: WS_STORE=memory: or WS_STORE=file:///var/lib/ws */
import { mkdir, mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openStore, Workspace } from '@ws/core'

const store = await openStore(process.env['WS_STORE'] ?? 'memory:')

const directory = await mkdtemp(join(tmpdir(), 'ws-example-'))
const workspace = new Workspace({ id: 'greeting', path: join(directory, 'work'), store })
await mkdir(workspace.path)
await writeFile(join(workspace.path, 'hello.txt'), 'hello\n')
const { version } = await workspace.save('first version')
console.log(`version ${version.version} is in the ${store.name} store`)

const copy = new Workspace({ id: 'greeting', path: join(directory, 'copy'), store })
const loaded = await copy.load()
console.log(`loaded ${loaded?.report.files} file into ${copy.path}`)
