import { Buffer } from 'node:buffer'

/** Whether the key of a client is the service's own, to which no policy applies: then "not there" is certain. */
export function credentialRole(headers: Readonly<Record<string, string>> | Headers): 'service' | 'other' {
  const authorization = new Headers(headers).get('authorization') ?? ''
  const token = authorization.replace(/^Bearer\s+/i, '')
  if (token.startsWith('sb_secret_')) return 'service'
  try {
    const payload = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as {
      role?: unknown
    }
    return payload.role === 'service_role' ? 'service' : 'other'
  } catch {
    return 'other'
  }
}
