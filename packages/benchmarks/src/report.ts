import { ratioOf, type ComparisonTable, type Measurement, type Unit } from './measurement.ts'

/** The table of what is compared with a target or a peer. */
export function formatTable(measurements: readonly Measurement[]): string {
  const rows = measurements.map((measurement) => {
    const { suite, name, unit, ours, peer, samples, target } = measurement
    const ratio = ratioOf(measurement)
    const isRatio = peer !== null
    const shownPeer =
      peer === null
        ? ''
        : 'absent' in peer
          ? `${peer.name}: absent`
          : `${peer.name}: ${formatFigure(peer.value, unit)}`
    return [
      suite,
      name,
      formatFigure(ours, unit),
      shownPeer,
      ratio === null || !isRatio ? '' : `${ratio.toFixed(2)} x`,
      target === null ? '' : isRatio ? `<= ${target} x` : `<= ${target} ${unit}`,
      target === null || ratio === null ? '' : ratio <= target ? 'ok' : '**over**',
      String(samples),
    ]
  })
  return formatRows(['suite', 'what', 'ws', 'peer', 'ratio', 'target', 'verdict', 'samples'], rows)
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
