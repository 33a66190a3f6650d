import { createHash, createVerify } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import { GcsProblem } from './gcs-problem.ts'

const ALGORITHM = 'GOOG4-RSA-SHA256'

export interface GcsSigner {
  readonly email: string
  /** PEM. */
  readonly publicKey: string
}

/** Checks a V4 signed URL as the service does: signature over method, path, query and signed headers, and its time. */
export function verifySignedUrl(
  method: string,
  url: URL,
  headers: IncomingHttpHeaders,
  signer: GcsSigner | undefined,
  now: Date,
): void {
  const query = url.searchParams
  const date = query.get('X-Goog-Date') ?? ''
  const [email, ...scope] = (query.get('X-Goog-Credential') ?? '').split('/')
  const signature = query.get('X-Goog-Signature') ?? ''
  if (signer === undefined || email !== signer.email || query.get('X-Goog-Algorithm') !== ALGORITHM)
    throw denied()
  const signedAt = Date.parse(date.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z'))
  if (!(now.getTime() < signedAt + Number(query.get('X-Goog-Expires')) * 1_000)) throw expired()
  const names = (query.get('X-Goog-SignedHeaders') ?? '').split(';')
  const canonicalHeaders = names.map((name) => `${name}:${headerOf(headers, name)}\n`).join('')
  const canonicalQuery = [...query]
    .filter(([name]) => name !== 'X-Goog-Signature')
    .map(([name, value]) => `${encode(name)}=${encode(value)}`)
    .sort()
    .join('&')
  const canonical = [
    method,
    url.pathname,
    canonicalQuery,
    canonicalHeaders,
    names.join(';'),
    'UNSIGNED-PAYLOAD',
  ]
  const hash = createHash('sha256').update(canonical.join('\n')).digest('hex')
  const isValid = createVerify('RSA-SHA256')
    .update([ALGORITHM, date, scope.join('/'), hash].join('\n'))
    .verify(signer.publicKey, signature, 'hex')
  if (!isValid) throw denied()
}

function headerOf(headers: IncomingHttpHeaders, name: string): string {
  const value = String(headers[name] ?? '').trim()
  // Clients sign the host without the port.
  return name === 'host' ? value.replace(/:\d+$/, '') : value
}

function encode(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
  )
}

function denied(): GcsProblem {
  return new GcsProblem(403, 'SignatureDoesNotMatch', 'Access denied. The request signature does not match.')
}

function expired(): GcsProblem {
  return new GcsProblem(400, 'ExpiredToken', 'The provided token has expired. Request signature expired.')
}
