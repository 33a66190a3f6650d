/** How much a report shows; see `RenderReportOptions`. */
export interface ReportCaps {
  readonly maxLinesPerFile: number
  readonly maxBytesPerFile: number
  readonly maxLines: number
  readonly maxFiles: number
  readonly maxImageBytes: number
}
