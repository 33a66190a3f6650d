import { styleText } from 'node:util'
import type { FileChange, RunEvent, WorkspaceDiff } from '@ws/core'

type Style = 'red' | 'green' | 'yellow' | 'cyan' | 'dim' | 'bold'

export function say(text: string): void {
  console.log(text)
}

export function title(text: string): void {
  say(`\n${paint('bold', `── ${text} ${'─'.repeat(Math.max(0, 90 - text.length))}`)}`)
}

/** One line for each event, as it comes. */
export function printEvent({ type, at, runId: _runId, workspaceId: _workspaceId, ...facts }: RunEvent): void {
  const text = Object.entries(facts)
    .map(([name, value]) => `${name}=${plain(String(value))}`)
    .join(' ')
  say(`${paint('dim', at.slice(11, 23))} ${paint('cyan', type.padEnd(26))} ${text}`)
}

/** What changed, one line for each file, deletions and additions as bars. */
export function printChanges(diff: WorkspaceDiff): void {
  const moved = new Set(diff.changes.flatMap((change) => change.renamedFrom ?? []))
  const shown = diff.changes.filter((change) => change.status !== 'deleted' || !moved.has(change.path))
  const width = Math.max(...shown.map((change) => name(change).length))
  for (const change of shown) say(`${marker(change)} ${name(change).padEnd(width)}  ${amount(change)}`)
  const counts = `${diff.filesChanged} paths changed, ${diff.insertions} insertions(+), ${diff.deletions} deletions(-)`
  say(paint('dim', `${counts}, patch of ${diff.patchBytes} bytes`))
}

/** The first lines of a patch, coloured. */
export function printHead(patch: Uint8Array | null, lines: number): void {
  if (patch === null) return
  say('')
  const text = Buffer.from(patch).toString('utf8').split('\n')
  for (const line of text.slice(0, lines)) {
    const style = line.startsWith('+')
      ? 'green'
      : line.startsWith('-')
        ? 'red'
        : line.startsWith('@@')
          ? 'cyan'
          : 'dim'
    say(paint(style, `  ${plain(line)}`))
  }
  if (text.length > lines) say(paint('dim', `  … ${text.length - lines} more lines`))
}

function marker({ status, renamedFrom }: FileChange): string {
  if (renamedFrom !== undefined) return paint('yellow', 'R')
  if (status === 'added') return paint('green', 'A')
  if (status === 'deleted') return paint('red', 'D')
  return paint('yellow', status === 'modified' ? 'M' : 'T')
}

function name({ path, renamedFrom, before, after, status }: FileChange): string {
  if (renamedFrom !== undefined) return `${plain(renamedFrom)} → ${plain(path)}`
  if (status !== 'mode-changed') return plain(path)
  return `${plain(path)} (mode ${before?.mode.toString(8)} → ${after?.mode.toString(8)})`
}

function amount({ insertions, deletions, binary, after, before, renamedFrom }: FileChange): string {
  if (renamedFrom !== undefined) return paint('dim', 'same content')
  if (binary === true) return paint('dim', `binary, ${before?.size ?? 0} → ${after?.size ?? 0} bytes`)
  if (insertions === null || deletions === null) return ''
  return `${paint('green', '+'.repeat(Math.min(insertions, 30)))}${paint('red', '-'.repeat(Math.min(deletions, 30)))}`
}

/** Names and contents come from an agent: what steers a terminal or reorders text must show, not act. */
function plain(text: string): string {
  return text.replace(
    /(?!\t)[\p{Cc}\p{Cf}\p{Cs}]/gu,
    (character) => `\\u{${character.codePointAt(0)?.toString(16)}}`,
  )
}

function paint(style: Style, text: string): string {
  return styleText(style, text, { stream: process.stdout })
}
