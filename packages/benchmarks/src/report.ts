import { ratioOf, type Measurement } from './measurement.ts'

/** The table of the report. */
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
          : `${peer.name}: ${show(peer.value, unit)}`
    return [
      suite,
      name,
      show(ours, unit),
      shownPeer,
      ratio === null || !isRatio ? '' : `${ratio.toFixed(2)} x`,
      target === null ? '' : isRatio ? `<= ${target} x` : `<= ${show(target, unit)}`,
      target === null || ratio === null ? '' : ratio <= target ? 'ok' : 'over',
      String(samples),
    ]
  })
  const head = ['suite', 'what', 'ws', 'peer', 'ratio', 'target', 'verdict', 'samples']
  return [head, head.map(() => '---'), ...rows]
    .map((cells) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`)
    .join('\n')
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

function show(value: number, unit: Measurement['unit']): string {
  return `${value < 10 ? value.toFixed(1) : value.toFixed(0)} ${unit}`
}
