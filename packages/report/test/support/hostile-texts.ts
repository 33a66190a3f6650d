/** Texts that try to be more than text: for a page, for a terminal, or for the eyes. All are possible file names. */
export const hostileTexts: readonly string[] = [
  '<script>alert(1)<script>',
  '"><img src=x onerror=alert(1)>',
  "' onmouseover='alert(1)",
  '<!--',
  '-->',
  ']]>',
  '<textarea>',
  '<plaintext>',
  '&lt;b&gt;&#x3c;',
  '${alert(1)} {{1}} `',
  '__proto__',
  'javascript:alert(1)',
  '\u001b]0;title\u0007',
  '\u001b[2J\u001b[31m',
  '\u009b31m',
  'a\rb',
  'a\nb',
  'a\tb',
  'a\u202ecod.exe',
  'a\u2066b\u2069',
  'zero\u200bwidth\u200dhere\ufeff',
  'tag\u{e0041}\u{e007f}',
  'variation\ufe0f\u{e0100}',
  'line\u2028paragraph\u2029',
  'private\ue000\u{f0000}',
  'byte\udcff\udc80',
  ' leading and trailing ',
  'a b/a b',
  'quote"back\\slash',
  '漢字と👩‍💻と한국어',
  'e\u0301'.repeat(20),
]

/** What must never reach a terminal or a page, apart from the line feed that ends a row. */
export const actingCharacters =
  // oxlint-disable-next-line no-control-regex
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ue000\ufff9-\ufffb\u{e0000}-\u{e0fff}\u{f0000}]|\p{Cs}/u
