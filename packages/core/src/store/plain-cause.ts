const MAX_MESSAGE_CHARACTERS = 1_000
/** Some SDKs make the whole answer the message. */
const MAX_READ_CHARACTERS = 20_000
const MAX_DEPTH = 4
/** Shorter values would tear harmless words apart; no real credential is that short. */
const MIN_SECRET_CHARACTERS = 8

/** What credentials look like wherever they are met, with what stays of the text. */
const shapes: readonly (readonly [RegExp, string])[] = [
  // Signed URLs: of S3, Google, Azure and Supabase.
  [/\b((?:X-(?:Amz|Goog)-(?:Signature|Credential|Security-Token)|sig|token)=)[^&\s"'<]+/gi, '$1[redacted]'],
  [/(Signature=|Credential=|AccountKey=|SharedAccessSignature=)[^,;\s"'<]+/gi, '$1[redacted]'],
  // Headers, and values in them.
  [/(x-amz-security-token\s*[:=]\s*|\bapikey\s*[:=]\s*)\S+/gi, '$1[redacted]'],
  [/\b(Bearer|Basic|SharedKey(?:Lite)?)\s+[\w.~+/=:-]{8,}/gi, '$1 [redacted]'],
  [/(signature found in the HTTP request ')[^']*/gi, '$1[redacted]'],
  // Keys and tokens by their own marks: AWS, Google, JSON Web Tokens, Supabase.
  [/\b(?:AKIA|ASIA)[A-Z0-9]{12,}\b/g, '[redacted]'],
  [/\bya29\.[\w-]+/g, '[redacted]'],
  [/\beyJ[\w-]{8,}(?:\.[\w-]*){0,2}/g, '[redacted]'],
  [/\bsb_(?:secret|publishable)_\w+/g, '[redacted]'],
  [/:\/\/[^/\s:@]+:[^/\s@]+@/g, '://[redacted]@'],
]

/**
 * For adapters: takes credentials and signatures out of text that a service or its SDK wrote.
 *
 * @param secrets those that the adapter knows; their percent-encoded forms go, too
 */
export function redactSecrets(text: string, secrets: readonly string[] = []): string {
  let clean = text
  for (const secret of secrets) {
    if (secret.length < MIN_SECRET_CHARACTERS) continue
    for (const form of [secret, encodeURIComponent(secret)]) clean = clean.replaceAll(form, '[redacted]')
  }
  for (const [shape, replacement] of shapes) clean = clean.replaceAll(shape, replacement)
  return clean
}

/**
 * For adapters: what an error of an SDK says, as the `cause` of a `WorkspaceError`: its name, message, system code, stack
 * and causes, without credentials, and without all else that hangs on it. The errors of SDKs hold the request with
 * its headers, what was signed, and the answer: who logs an error would log those.
 */
export function plainCause(error: unknown, secrets: readonly string[] = []): Error {
  return copyOf(error, secrets, 0)
}

function copyOf(error: unknown, secrets: readonly string[], depth: number): Error {
  if (!(error instanceof Error)) return new Error(clean(String(error), secrets))
  const { name, message, stack, cause } = error
  const hasCause = cause !== undefined && cause !== null && depth < MAX_DEPTH
  const copy = new Error(
    clean(message, secrets),
    hasCause ? { cause: copyOf(cause, secrets, depth + 1) } : undefined,
  )
  const shownName = clean(String(name), secrets)
  const code: unknown = 'code' in error ? error.code : undefined
  const frames = stack?.slice(stack.indexOf('\n    at ')) ?? ''
  const shownFrames = frames.startsWith('\n    at ') ? redactSecrets(frames, secrets) : ''
  Object.defineProperties(copy, {
    name: { value: shownName, configurable: true },
    stack: { value: `${shownName}: ${copy.message}${shownFrames}`, configurable: true },
  })
  return typeof code === 'string' || typeof code === 'number'
    ? Object.assign(copy, { code: typeof code === 'string' ? clean(code, secrets) : code })
    : copy
}

function clean(text: string, secrets: readonly string[]): string {
  // Shortened last: half a credential would not be found.
  return redactSecrets(text.slice(0, MAX_READ_CHARACTERS), secrets).slice(0, MAX_MESSAGE_CHARACTERS)
}
