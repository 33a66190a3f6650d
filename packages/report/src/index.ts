export { renderDiff, type RenderDiffOptions } from './terminal/render-diff.ts'
export type { TerminalStream } from './terminal/palette.ts'
export { renderReport, type RenderReportOptions, type ReportedRun } from './html/render-report.ts'
export type { ReportImage, ReportImages } from './html/image-view.ts'
