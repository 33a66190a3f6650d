import { textPieces, visibleText } from '../hidden-characters.ts'

/** A piece of HTML that was made by `markup`; its text cannot be mistaken for a string that is still to be escaped. */
export interface Markup {
  readonly markup: string
}

export type MarkupValue = Markup | string | number | null | undefined | false | readonly MarkupValue[]

/**
 * HTML from a template. Every string put in is hostile: it is escaped for text and for quoted attributes alike, and
 * what is hidden in it is made visible. Only `Markup` goes in as it is.
 */
export function markup(strings: TemplateStringsArray, ...values: readonly MarkupValue[]): Markup {
  let text = strings[0] ?? ''
  for (const [index, value] of values.entries()) text += render(value) + (strings[index + 1] ?? '')
  return { markup: text }
}

/** Text for an element's content, with what is hidden in it set apart and explained by a tooltip. Tabs stay. */
export function content(text: string): Markup {
  const markup = textPieces(text, { keepTabs: true }).map((piece) =>
    piece.hidden === null
      ? escape(piece.text)
      : `<span class="hidden-character" title="${escape(piece.hidden)}">${escape(piece.text)}</span>`,
  )
  return { markup: markup.join('') }
}

function render(value: MarkupValue): string {
  if (value === null || value === undefined || value === false) return ''
  if (typeof value === 'string') return escape(visibleText(value))
  if (typeof value === 'number') return String(value)
  return 'markup' in value ? value.markup : value.map(render).join('')
}

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

function escape(text: string): string {
  return text.replace(/[&<>"']/g, (character) => entities[character] ?? '')
}
