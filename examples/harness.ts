/** A harness in twenty lines: POST a shell command to it, and it runs in the workspace, seen and undone when it fails. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import { text } from 'node:stream/consumers'
import { executeRun, Workspace, WorkspaceError, type RunRecord } from '@ws/core'

const workspace = Workspace.at(process.argv[2] ?? '.')

const server = createServer((request, response) => {
  answer(request).then(
    (record) => response.end(JSON.stringify(record)),
    (error) =>
      response
        .writeHead(400)
        .end(JSON.stringify(WorkspaceError.is(error) ? error : { message: String(error) })),
  )
})
server.listen(Number(process.env['PORT'] ?? 0), '127.0.0.1', () =>
  console.log(JSON.stringify(server.address())),
)

async function answer(request: IncomingMessage): Promise<RunRecord> {
  const command = await text(request)
  const { record } = await executeRun(
    workspace,
    async ({ path, signal }) => {
      const [code] = await once(spawn('sh', ['-c', command], { cwd: path, signal, stdio: 'ignore' }), 'close')
      if (code !== 0) throw new Error(`exit code ${code}`)
    },
    { rollbackOnFailure: true, timeoutMs: 60_000 },
  )
  return record
}
