import { describe, expect, it } from 'vitest'
import { textPieces, visibleText } from '../src/hidden-characters.ts'
import { actingCharacters, hostileTexts } from './support/hostile-texts.ts'

describe('visibleText', () => {
  it.each([
    ['an escape sequence', '\u001b[31m', '<ESC>[31m'],
    ['a C1 control', '\u009b', '<U+009B>'],
    ['a line feed', 'a\nb', 'a<LF>b'],
    ['delete', '\u007f', '<DEL>'],
    ['a bidi override', 'a\u202eb', 'a<U+202E>b'],
    ['a zero width space', '\u200b', '<U+200B>'],
    ['a joiner outside an emoji', 'a\u200db', 'a<U+200D>b'],
    ['a selector outside an emoji', 'a\ufe0f', 'a<U+FE0F>'],
    ['a tag', '\u{e0041}', '<U+E0041>'],
    ['a byte that is not UTF-8', 'a\udcff', 'a<FF>'],
    ['another lone surrogate', '\ud800', '<U+D800>'],
  ])('names %s', (_, text, expected) => {
    expect(visibleText(text)).toBe(expected)
  })

  it.each(['plain', 'é', 'e\u0301', '漢字', '👩‍💻', '❤️', '1️⃣', 'שלום', '한국어'])(
    'leaves %s as it is',
    (text) => {
      expect(visibleText(text)).toBe(text)
    },
  )

  it.each(hostileTexts.map((text) => [JSON.stringify(text), text]))('lets nothing of %s act', (_, text) => {
    expect(visibleText(text)).not.toMatch(actingCharacters)
    expect(visibleText(text)).not.toContain('\n')
  })

  it('explains what it set apart', () => {
    expect(textPieces('a\u202e')).toEqual([
      { text: 'a', hidden: null },
      { text: '<U+202E>', hidden: 'right-to-left override, U+202E' },
    ])
  })
})
