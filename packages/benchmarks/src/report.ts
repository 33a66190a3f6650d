import { ratioOf, type ComparisonTable, type Measurement, type Unit } from './measurement.ts'

/** The table of what is compared with a target or a peer. */
export function formatTable(measurements: readonly Measurement[]): string {
  const rows = measurements.map((measurement) => {
    const { suite, name, unit, ours, peer, samples, target } = measurement
    const shownPeer =
      peer === null
        ? ''
        : 'absent' in peer
          ? `${peer.name}: absent`
          : `${peer.name}: ${formatFigure(peer.value, unit)}`
    const ratio = ratioOf(measurement)
    return [
      suite,
      name,
      formatFigure(ours, unit),
      shownPeer,
      peer === null || ratio === null ? '' : `${ratio.toFixed(2)} x`,
      target === null ? '' : `<= ${formatTarget(measurement)}`,
      target === null || ratio === null ? '' : isOverTarget(measurement) ? '**over**' : 'ok',
      String(samples),
    ]
  })
  return formatRows(['suite', 'what', 'ws', 'peer', 'ratio', 'target', 'verdict', 'samples'], rows)
}

/** What missed its target, the furthest first. */
export function formatOverTarget(measurements: readonly Measurement[]): string {
  const missed = (measurement: Measurement): number => (ratioOf(measurement) ?? 0) / (measurement.target || 1)
  const lines = measurements
    .filter(isOverTarget)
    .toSorted((left, right) => missed(right) - missed(left))
    .map((measurement) => {
      const { suite, name, unit, ours, peer } = measurement
      const found =
        peer === null ? formatFigure(ours, unit) : `${ratioOf(measurement)?.toFixed(2)} x of ${peer.name}`
      return `- ${suite}, ${name}: ${found}, to be at most ${formatTarget(measurement)}`
    })
  return `### Over target\n\n${lines.length === 0 ? 'Nothing in this run.' : lines.join('\n')}`
}

function isOverTarget(measurement: Measurement): boolean {
  const ratio = ratioOf(measurement)
  return measurement.target !== null && ratio !== null && !(ratio <= measurement.target)
}

function formatTarget({ target, unit, peer }: Measurement): string {
  return peer === null ? `${target} ${unit}` : `${target} x`
}

export function formatComparison({ title, head, rows }: ComparisonTable): string {
  return `### ${title}\n\n${formatRows(head, rows)}`
}

export function formatFigure(value: number, unit: Unit): string {
  if (unit === 'calls') return `${value}`
  const digits = value < 1 ? 2 : value < 10 ? 1 : 0
  return `${value.toFixed(digits)} ${unit}`
}

const BEGIN = '<!-- benchmarks: begin -->'
const END = '<!-- benchmarks: end -->'

/** Puts a report between the markers of a document. */
export function replaceReport(document: string, report: string): string {
  const begin = document.indexOf(BEGIN)
  const end = document.indexOf(END)
  if (begin === -1 || end < begin) throw new Error(`the document has no "${BEGIN}" followed by "${END}"`)
  return `${document.slice(0, begin + BEGIN.length)}\n\n${report}\n\n${document.slice(end)}`
}

function formatRows(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return [head, head.map(() => '---'), ...rows]
    .map((cells) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`)
    .join('\n')
}
