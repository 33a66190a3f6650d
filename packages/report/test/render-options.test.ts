import { describe, expect, it } from 'vitest'
import { renderDiff, renderReport } from '../src/index.ts'

const notNumbers = [null, true, '4', [], Number.NaN, -1]
const notObjects = [null, true, 4, 'text', []]

const renderers = {
  renderDiff: {
    render: (options: object) => renderDiff({ changes: [], patch: null } as never, options),
    wrong: {
      color: [null, 1, 'yes'],
      width: [...notNumbers, 1.5, Number.POSITIVE_INFINITY],
      maxLines: notNumbers,
      hunks: [null, 1, 'yes'],
      stream: notObjects,
      patch: [null, 'text', [1]],
      colour: [true],
    },
  },
  renderReport: {
    render: (options: object) => renderReport({ record: {}, workspace: null } as never, options),
    wrong: {
      events: [null, {}, 'text', [4]],
      patch: [null, 'text'],
      images: [null, {}, []],
      rollback: [...notObjects, {}, { restored: [], git: null, guard: null }],
      maxLinesPerFile: notNumbers,
      maxBytesPerFile: notNumbers,
      maxLines: notNumbers,
      maxFiles: notNumbers,
      maxImageBytes: notNumbers,
      image: [new Map()],
    },
  },
}

it.each([undefined, null, {}, 'diff', { record: null }])(
  'refuses what is no diff and no run: %j',
  (given) => {
    for (const render of [renderDiff, renderReport])
      expect(() => render(given as never)).toThrow(expect.objectContaining({ code: 'INVALID_INPUT' }))
  },
)

describe.each(Object.entries(renderers))('%s', (_, { render, wrong }) => {
  it.each(Object.entries(wrong))('refuses values that its option %s cannot have', (name, values: readonly unknown[]) => {
    for (const value of values)
      expect(() => render({ [name]: value })).toThrow(expect.objectContaining({ code: 'INVALID_INPUT', message: expect.stringContaining(name) }))
  }) // prettier-ignore
})
