import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { once } from 'node:events'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import {
  borrowThread,
  stopIdleThreads,
  type BorrowedThread,
  type ThreadKind,
} from '../../src/bundle/warm-threads.ts'

const echo: ThreadKind = { name: 'echo', file: new URL('./echo-thread.ts', import.meta.url) }

interface Echo {
  readonly task: unknown
  readonly message: unknown
  readonly threadId: number
}

afterEach(stopIdleThreads)

async function ask({ port }: BorrowedThread, message: string): Promise<Echo> {
  port.postMessage(message)
  const [answer] = (await once(port, 'message')) as [Echo]
  return answer
}

test('a thread that is given back does the next task, and knows which task a message is about', async () => {
  const first = borrowThread(echo, 'first')
  const { threadId } = await ask(first, 'a')
  first.giveBack()
  const second = borrowThread(echo, 'second')
  expect(await ask(second, 'b')).toEqual({ task: 'second', message: 'b', threadId })
  second.giveBack()
})

test('two tasks at once have a thread each', async () => {
  const [left, right] = [borrowThread(echo, 'left'), borrowThread(echo, 'right')]
  const answers = [await ask(left, 'a'), await ask(right, 'a')]
  expect(answers[0]?.threadId).not.toBe(answers[1]?.threadId)
  left.giveBack()
  right.giveBack()
})

test('what an old task sends too late reaches nobody', async () => {
  const old = borrowThread(echo, 'old')
  await ask(old, 'a')
  old.port.postMessage('too late')
  old.giveBack()
  const next = borrowThread(echo, 'next')
  expect(await ask(next, 'b')).toMatchObject({ task: 'next', message: 'b' })
  next.giveBack()
})

test('a thread that died is not given out again, and whoever had it is told', async () => {
  const first = borrowThread(echo, 'first')
  const { threadId } = await ask(first, 'a')
  first.port.postMessage('die')
  await first.gone
  first.giveBack()
  const second = borrowThread(echo, 'second')
  expect((await ask(second, 'b')).threadId).not.toBe(threadId)
  second.giveBack()
})

test('no more than one idle thread for each core stays', async () => {
  const many = Array.from({ length: availableParallelism() + 1 }, (_, index) => borrowThread(echo, index))
  for (const thread of many) await ask(thread, 'a')
  for (const thread of many) thread.giveBack()
  const [last] = many.slice(-1)
  await last?.gone
  const again = many.map((_, index) => borrowThread(echo, index))
  const reused = new Set<number>()
  for (const thread of again) reused.add((await ask(thread, 'a')).threadId)
  expect(reused.size).toBe(many.length)
  for (const thread of again) thread.giveBack()
})

test('an idle thread does not keep the process alive', () => {
  const base = mkdtempSync(join(tmpdir(), 'ws-threads-'))
  try {
    const module = new URL('../../src/bundle/warm-threads.ts', import.meta.url).href
    const script = join(base, 'script.mjs')
    writeFileSync(
      script,
      `import { borrowThread } from ${JSON.stringify(module)}
const thread = borrowThread({ name: 'echo', file: new URL(${JSON.stringify(echo.file?.href)}) }, 'task')
thread.port.on('message', () => {
  thread.giveBack()
  console.log('given back')
})
thread.port.postMessage('a')
`,
    )
    // It would be killed, and this would throw, while the idle thread held it for its half a minute.
    const output = execFileSync(process.execPath, [script], { encoding: 'utf8', timeout: 20_000 })
    expect(output).toBe('given back\n')
  } finally {
    rmSync(base, { recursive: true })
  }
})
