import { styleText } from 'node:util'

export type Style =
  | 'plain'
  | 'bold'
  | 'dim'
  | 'red'
  | 'green'
  | 'yellow'
  | 'cyan'
  | 'removedWord'
  | 'addedWord'
  | 'hidden'

/** Gives a text its style; without colour the text comes back as it is. */
export type Paint = (text: string, style: Style) => string

const formats = {
  bold: 'bold',
  dim: 'dim',
  red: 'red',
  green: 'green',
  yellow: 'yellow',
  cyan: 'cyan',
  removedWord: ['red', 'inverse'],
  addedWord: ['green', 'inverse'],
  hidden: ['magenta', 'inverse'],
} as const

export function createPaint(hasColor: boolean): Paint {
  return (text, style) => {
    if (!hasColor || style === 'plain' || text === '') return text
    const format = formats[style]
    return styleText(typeof format === 'string' ? format : [...format], text, { validateStream: false })
  }
}

/** What is looked at of a stream. `process.stdout` fits. */
export interface TerminalStream {
  readonly isTTY?: boolean | undefined
  readonly columns?: number | undefined
}

/** `FORCE_COLOR` decides first, then `NO_COLOR` (https://no-color.org), then `TERM=dumb`, then whether it is a terminal. */
export function wantsColor(stream: TerminalStream, environment: NodeJS.ProcessEnv): boolean {
  const { FORCE_COLOR, NO_COLOR, TERM } = environment
  if (FORCE_COLOR !== undefined) return FORCE_COLOR !== '0' && FORCE_COLOR !== 'false'
  if (NO_COLOR !== undefined && NO_COLOR !== '') return false
  return TERM !== 'dumb' && stream.isTTY === true
}
