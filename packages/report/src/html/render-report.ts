import { createHash } from 'node:crypto'
import {
  assertKnownOptions,
  WorkspaceError,
  isAmount,
  isBytes,
  isObject,
  isObjectList,
  type OptionNames,
  type RollbackResult,
  type RunEvent,
  type RunRecord,
  type RunWorkspace,
} from '@ws/core'
import { listFileDiffs, patchWhereabouts } from '../list-file-diffs.ts'
import { changesSection } from './changes-section.ts'
import { markup } from './markup.ts'
import { pageScript } from './page-script.ts'
import { pageStyle } from './page-style.ts'
import type { ReportImages } from './image-view.ts'
import type { ReportCaps } from './report-caps.ts'
import { coverageCard, eventsCard, recordSection, rollbackCard, runHeader } from './run-sections.ts'

/** What a report is made from. A `RunResult` fits, and so does one that was stored as JSON and parsed again. */
export interface ReportedRun {
  readonly record: RunRecord
  readonly workspace: RunWorkspace | null
}

export interface RenderReportOptions {
  /** The run's events, as `onEvent` got them. @default none; the report then has no timeline */
  readonly events?: readonly RunEvent[] | undefined
  /** The patch, when it is not in the diff but in the artifact store. @default the one in the diff */
  readonly patch?: Uint8Array | undefined
  /** Contents of changed images, by path. PNG, JPEG, GIF and WebP are shown; all others stay a size. @default none */
  readonly images?: ReportImages | undefined
  /** What a rollback would do or has done (`workspace.rollback(before, { dryRun: true })`). @default the run's own rollback */
  readonly rollback?: RollbackResult | undefined
  /** The most lines shown of one file. @default 3_000 */
  readonly maxLinesPerFile?: number | undefined
  /** The most bytes shown of one file. @default 524_288, 256 KiB for each side */
  readonly maxBytesPerFile?: number | undefined
  /** The most lines in the whole report. @default 30_000 */
  readonly maxLines?: number | undefined
  /** The most files shown with their content; more are counted. @default 2_000 */
  readonly maxFiles?: number | undefined
  /** The most bytes of one image; a larger one stays a size. All images together have 8 times as much. @default 2_097_152 */
  readonly maxImageBytes?: number | undefined
}

const renderReportOptionNames: OptionNames<RenderReportOptions> = {
  events: isObjectList,
  patch: isBytes,
  images: (value) => (value instanceof Map ? null : 'a Map of images by path'),
  rollback: isRollback,
  maxLinesPerFile: isAmount,
  maxBytesPerFile: isAmount,
  maxLines: isAmount,
  maxFiles: isAmount,
  maxImageBytes: isAmount,
}

/**
 * One HTML file that tells a person what a run did: outcome, timeline, every changed file side by side, images,
 * rollback, what was not captured, and the record as JSON.
 *
 * The file stands alone: it makes no request, and its content security policy allows none, nor any script or style
 * but its own two by their hashes. Names and contents are hostile and appear as text, with hidden characters made
 * visible; only images whose bytes are PNG, JPEG, GIF or WebP are drawn (never SVG). Takes time linear in the size of
 * the diff; what the caps leave out is said where it is missing.
 */
export function renderReport(run: ReportedRun, options: RenderReportOptions = {}): string {
  assertRun(run)
  assertKnownOptions('renderReport', options, renderReportOptionNames)
  const { record, workspace } = run
  const diff = workspace?.diff ?? null
  const rollback = options.rollback ?? workspace?.rollback ?? null
  const files = diff === null ? null : listFileDiffs(diff, options.patch)
  const title = `${record.workspaceId}: run ${record.status}`
  const page = markup`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta http-equiv="Content-Security-Policy" content="${contentSecurityPolicy}" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <meta name="referrer" content="no-referrer" />
        <title>${title}</title>
        <style>${{ markup: pageStyle }}</style>
      </head>
      <body>
        <a class="skip" href="#changes">Skip to the changes</a>
        ${runHeader(run, files?.files ?? null)}
        <div class="cards">
          ${eventsCard(options.events ?? [], files?.files ?? null)} ${rollbackCard(rollback)} ${coverageCard(workspace)}
        </div>
        ${
          diff === null || files === null
            ? markup`<main id="changes">
                <p class="empty">
                  ${workspace === null ? 'The workspace was not looked at in this run.' : 'There is no diff: it could not be computed.'}
                </p>
              </main>`
            : changesSection(files, {
                whereabouts: patchWhereabouts(diff, files.patch),
                caps: capsOf(options),
                images: options.images ?? new Map(),
              })
        }
        ${recordSection(record)}
        <script>${{ markup: pageScript }}</script>
      </body>
    </html> `
  return page.markup
}

const rollbackLists = ['restored', 'deleted', 'kept', 'merged', 'unmatched', 'appeared'] as const

function isRollback(value: unknown): string | null {
  const { git, guard, ...lists } = (value ?? {}) as Partial<RollbackResult>
  const isWhole = [git, guard].every((part) => part === null || isObject(part) === null)
  return isWhole && rollbackLists.every((name) => Array.isArray(lists[name]))
    ? null
    : 'what workspace.rollback gave'
}

/** Callers without types, who may give the record alone. */
function assertRun(run: Partial<ReportedRun> | null | undefined): void {
  if (isObject(run?.record) === null && run?.workspace !== undefined) return
  throw new WorkspaceError(
    'INVALID_INPUT',
    'renderReport needs the result of a run, or of it at least { record, workspace }.',
  )
}

function capsOf(options: RenderReportOptions): ReportCaps {
  const { maxLinesPerFile = 3_000, maxBytesPerFile = 524_288, maxLines = 30_000, maxFiles = 2_000 } = options
  return {
    maxLinesPerFile,
    maxBytesPerFile,
    maxLines,
    maxFiles,
    maxImageBytes: options.maxImageBytes ?? 2_097_152,
  }
}

const contentSecurityPolicy = [
  "default-src 'none'",
  `style-src ${sourceHash(pageStyle)}`,
  `script-src ${sourceHash(pageScript)}`,
  'img-src data:',
  "base-uri 'none'",
  "form-action 'none'",
].join('; ')

function sourceHash(text: string): string {
  return `'sha256-${createHash('sha256').update(text).digest('base64')}'`
}
