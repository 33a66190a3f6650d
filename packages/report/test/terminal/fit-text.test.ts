import fc from 'fast-check'
import stringWidth from 'string-width'
import { describe, expect, it } from 'vitest'
import { expandTabs, shortenMiddle, wrapText, wrapWords } from '../../src/terminal/fit-text.ts'

const text = fc.string({ unit: fc.constantFrom('a', 'é', '漢', '👩‍💻', 'e\u0301', ' ', '한'), maxLength: 60 })

describe('text in a width', () => {
  it('is wrapped into rows that fit and that are the text when joined', () => {
    fc.assert(
      fc.property(text, text, fc.integer({ min: 2, max: 20 }), (first, second, width) => {
        const rows = wrapText(
          [
            { text: first, style: 'plain' },
            { text: second, style: 'bold' },
          ],
          width,
        )
        const joined = rows.map((parts) => parts.map((part) => part.text).join(''))
        expect(joined.join('')).toBe(first + second)
        for (const row of joined) expect(stringWidth(row)).toBeLessThanOrEqual(width)
      }),
    )
  })

  it('is shortened to fit', () => {
    fc.assert(
      fc.property(text, fc.integer({ min: 1, max: 30 }), (value, width) => {
        expect(stringWidth(shortenMiddle(value, width))).toBeLessThanOrEqual(width)
      }),
    )
    expect(shortenMiddle('packages/core/src/run/execute-run.ts', 24)).toBe('packages…/execute-run.ts')
  })

  it('as prose breaks between words', () => {
    expect(wrapWords('the patch is abcdefghijklm here', 12)).toEqual([
      'the patch is',
      'abcdefghijkl',
      'm here',
    ])
  })

  it('has its tabs at multiples of the tab size', () => {
    expect(expandTabs('a\t漢\tb', 0, 4)).toBe('a   漢  b')
    expect(expandTabs('\tb', 3, 4)).toBe(' b')
  })
})
