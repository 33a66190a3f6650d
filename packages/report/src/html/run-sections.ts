import type {
  GitRestore,
  RecordedError,
  RollbackResult,
  RunEvent,
  RunRecord,
  RunWorkspace,
  Snapshot,
} from '@ws/core'
import { countLines, type FileDiff } from '../list-file-diffs.ts'
import { describeEvent } from './describe-event.ts'
import { content, markup, type Markup } from './markup.ts'

const MAX_LISTED = 200

/** What was run, how it ended, and the sums. */
export function runHeader(
  { record, workspace }: { readonly record: RunRecord; readonly workspace: RunWorkspace | null },
  files: readonly FileDiff[] | null,
): Markup {
  const sums = files === null ? null : countLines(files)
  const problem = record.workspace?.error ?? null
  return markup`<header>
    <p class="eyebrow">Run ${record.runId}</p>
    <h1>${content(record.workspaceId)} <span class="badge ${record.status}">${record.status}</span></h1>
    <dl class="run">
      <div>
        <dt>Directory</dt>
        <dd><code>${content(record.path)}</code></dd>
      </div>
      <div>
        <dt>Started</dt>
        <dd><time datetime="${record.startedAt}">${formatTime(record.startedAt)}</time></dd>
      </div>
      <div>
        <dt>Took</dt>
        <dd>${formatDuration(record.durationMs)}</dd>
      </div>
      ${
        workspace !== null &&
        markup`<div>
          <dt>Snapshots by</dt>
          <dd>${workspace.backend}</dd>
        </div>`
      }
    </dl>
    ${
      sums !== null &&
      files !== null &&
      markup`<ul class="tiles">
        <li>
          <b>${files.length.toLocaleString('en-US')}</b> ${files.length === 1 ? 'file' : 'files'} changed
        </li>
        <li class="plus"><b>+${sums.insertions.toLocaleString('en-US')}</b> lines added</li>
        <li class="minus"><b>−${sums.deletions.toLocaleString('en-US')}</b> lines removed</li>
        ${workspace?.rollback !== undefined && markup`<li class="undone"><b>Rolled back</b> ${workspace.rollback.verified ? 'and verified' : 'not verified'}</li>`}
      </ul>`
    }
    ${record.error !== null && errorBox(record.status === 'aborted' ? 'The run was aborted' : 'The agent failed', record.error)}
    ${problem !== null && errorBox('A step around the agent failed', problem)}
    ${
      record.warnings.length > 0 &&
      markup`<div class="alert warning">
        <strong>Warnings</strong>
        <ul>
          ${record.warnings.map((warning) => markup`<li>${content(warning)}</li>`)}
        </ul>
      </div>`
    }
  </header>`
}

function errorBox(title: string, error: RecordedError): Markup {
  return markup`<div class="alert error" role="note">
    <strong>${title}</strong>
    <span class="quiet">${error.name}${error.code !== null && `, ${error.code}`}</span>
    <pre>${contentLines(error.message)}</pre>
  </div>`
}

/** The line feeds of a message break its lines; everything else hidden in it is shown. */
function contentLines(text: string): Markup {
  return markup`${text.split('\n').map((line, index) => [index > 0 && { markup: '\n' }, content(line)])}`
}

/** @param files as the page shows them, where a rename is one file; `null` without a diff */
export function eventsCard(events: readonly RunEvent[], files: readonly FileDiff[] | null): Markup | null {
  const [first] = events
  if (first === undefined) return null
  const renames = (files ?? []).filter(({ status }) => status === 'renamed').length
  return markup`<section class="card" aria-labelledby="timeline">
    <h2 id="timeline">Timeline</h2>
    <ol class="timeline">
      ${events.map((event) => {
        const { title, detail, mood } = describeEvent(event, renames)
        return markup`<li class="${mood}">
          <time datetime="${event.at}">+${formatDuration(Date.parse(event.at) - Date.parse(first.at))}</time
          ><span
            >${content(title)}${detail !== '' && markup` <span class="quiet">${content(detail)}</span>`}</span
          >
        </li>`
      })}
    </ol>
  </section>`
}

export function rollbackCard(rollback: RollbackResult | null): Markup | null {
  if (rollback === null) return null
  const { dryRun, restored, deleted, kept, merged, unmatched, appeared, verified, guard, git } = rollback
  const verdict = dryRun
    ? 'A preview: nothing was touched.'
    : verified
      ? 'Verified: in a capture made afterwards, all that was to be rolled back is as in the snapshot.'
      : 'Not verified.'
  return markup`<section class="card" aria-labelledby="rollback">
    <h2 id="rollback">
      ${dryRun ? 'Rollback preview' : 'Rollback'}
      <span class="badge ${verified ? 'completed' : 'aborted'}"
        >${dryRun ? 'dry run' : verified ? 'verified' : 'not verified'}</span
      >
    </h2>
    <p class="quiet">${verdict}</p>
    ${pathList(dryRun ? 'Would be restored' : 'Restored', restored)}
    ${pathList(dryRun ? 'Would be deleted' : 'Deleted', deleted)}
    ${pathList('Kept: edits of somebody else', kept)}
    ${pathList('Merged with edits of somebody else', merged)}
    ${pathList('Named, but in neither state', unmatched)}
    ${pathList('New since then, left alone', appeared)}
    ${git !== null && gitLines(git)}
    ${guard !== null && markup`<p class="quiet">To undo the rollback, roll back to the guard snapshot <code>${guard.id}</code>.</p>`}
  </section>`
}

/** What became of HEAD, the branch, the index and the stash. */
function gitLines({ restored, notRestored, safetyRefs }: GitRestore): Markup {
  return markup`${restored.length > 0 && markup`<p>Repository: ${restored.join(', ')}.</p>`}
    ${notRestored.map(({ part, reason }) => markup`<p>Not put back: ${content(`${part}, because ${reason}`)}.</p>`)}
    ${pathList(
      'What was there stays reachable',
      safetyRefs.map(({ name, was }) => `${name} (${was})`),
    )}`
}

function pathList(title: string, paths: readonly string[]): Markup | null {
  if (paths.length === 0) return null
  const left = paths.length - MAX_LISTED
  return markup`<details${paths.length <= 12 && markup` open`}><summary>${title} <span class="count">${paths.length}</span></summary><ul class="paths">${paths
    .slice(0, MAX_LISTED)
    .map(
      (path) => markup`<li><code>${content(path)}</code></li>`,
    )}${left > 0 && markup`<li class="quiet">and ${left.toLocaleString('en-US')} more</li>`}</ul></details>`
}

/** What the snapshots did not capture, so that nobody takes the diff for more than it is. */
export function coverageCard(workspace: RunWorkspace | null): Markup | null {
  if (workspace === null) return null
  const sides = [workspace.beforeSnapshot, workspace.afterSnapshot].filter((snapshot) => snapshot !== null)
  const isComplete = sides.every((snapshot) => snapshot.coverage.complete)
  return markup`<section class="card" aria-labelledby="coverage">
    <h2 id="coverage">
      Coverage
      <span class="badge ${isComplete ? 'completed' : 'neutral'}"
        >${isComplete ? 'complete' : 'partial'}</span
      >
    </h2>
    <p class="quiet">
      ${isComplete ? 'Everything in the workspace was captured.' : 'These were not captured: they are not in the diff, and a rollback does not touch them.'}
    </p>
    ${sides.map(coverageSide)}
  </section>`
}

function coverageSide({ label, metadata, coverage }: Snapshot): Markup {
  const omitted = Object.entries(coverage.omitted).filter(([, count]) => count > 0)
  return markup`<div class="coverage">
    <p>
      <strong>${label}</strong>
      <span class="quiet"
        >entries captured: ${metadata.entries.toLocaleString('en-US')}</span
      >
    </p>
    ${
      omitted.length > 0 &&
      markup`<ul class="reasons">
        ${omitted.map(([reason, count]) => markup`<li>${reason} <span class="count">${count.toLocaleString('en-US')}</span></li>`)}
      </ul>`
    }
    ${
      coverage.examples.length > 0 &&
      markup`<details>
        <summary>Examples</summary>
        <ul class="paths">
          ${coverage.examples.map(({ path, reason }) => markup`<li><code>${content(path)}</code> <span class="quiet">${reason}</span></li>`)}
        </ul>
      </details>`
    }
    ${pathList('Changed while it was read', coverage.unstable)}
  </div>`
}

/** The record as JSON. Hidden characters are written as JSON escapes, so that a copy parses to the same record. */
export function recordSection(record: RunRecord): Markup {
  const json = JSON.stringify(record, null, 2).replace(
    /[^\n\x20-\x7e]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
  return markup`<section class="record" aria-labelledby="record">
    <details>
      <summary><h2 id="record">Record as JSON</h2></summary>
      <button type="button" data-copy="record-json" hidden>Copy</button>
      <pre id="record-json" tabindex="0">
${{ markup: json.replace(/[&<>]/g, (character) => `&#${character.charCodeAt(0)};`) }}</pre>
    </details>
  </section>`
}

function formatTime(iso: string): string {
  return iso.replace('T', ' ').replace(/\.\d+Z$/, ' UTC')
}

function formatDuration(milliseconds: number): string {
  if (!Number.isFinite(milliseconds)) return '?'
  if (milliseconds < 1_000) return `${Math.round(milliseconds)} ms`
  const seconds = milliseconds / 1_000
  if (seconds < 60) return `${seconds.toFixed(1)} s`
  const minutes = Math.floor(seconds / 60)
  return minutes < 60
    ? `${minutes} min ${Math.floor(seconds % 60)} s`
    : `${Math.floor(minutes / 60)} h ${minutes % 60} min`
}
