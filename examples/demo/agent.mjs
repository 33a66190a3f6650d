/** Stands in for a coding agent: a process that works in the current directory and knows nothing of ws. */
import { execFileSync } from 'node:child_process'
import {
  appendFileSync,
  chmodSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'

const task = process.argv[2]
const git = (...arguments_) =>
  execFileSync('git', ['-c', 'user.name=Agent', '-c', 'user.email=agent@example.com', ...arguments_], {
    stdio: 'pipe',
  })

if (task === 'work') {
  writeFileSync('src/greet.js', readFileSync('src/greet.js', 'utf8').replace("'Hello, '", "'Good day, '"))
  mkdirSync('src/locale', { recursive: true })
  writeFileSync('src/locale/de.js', "export const greeting = 'Guten Tag, '\n")
  rmSync('src/unused.js')
  renameSync('docs/usage.md', 'docs/guide.md')
  writeFileSync(
    'assets/pixel.png',
    Buffer.from('89504e470d0a1a0a0000000d494844520000000100000001080600000000', 'hex'),
  )
  git('add', 'src')
  git('commit', '--quiet', '--message=Greet more politely')
  appendFileSync('notes.txt', 'The agent left this uncommitted.\n')
  console.log('done: 5 files touched, 1 commit')
} else {
  writeFileSync('src/greet.js', 'export const greet = (\n')
  rmSync('package.json')
  rmSync('docs', { recursive: true })
  mkdirSync('tmp/cache', { recursive: true })
  writeFileSync('tmp/cache/blob.bin', Buffer.alloc(5000))
  chmodSync('bin/run.sh', 0o600)
  symlinkSync('/etc/hostname', 'leak')
  console.error('SyntaxError: Unexpected end of input')
  process.exit(1)
}
