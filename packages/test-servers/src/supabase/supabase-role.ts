import { invalidToken, noSuchBucket, SupabaseProblem } from './supabase-problem.ts'

/** What the row-level policies let a token's role do. What it may not see is not there for it. */
export interface SupabaseRole {
  readonly seesBucket: boolean
  readonly select: boolean
  readonly insert: boolean
  readonly update: boolean
  readonly delete: boolean
}

const nothing: SupabaseRole = {
  seesBucket: false,
  select: false,
  insert: false,
  update: false,
  delete: false,
}

export const supabaseRoles = {
  /** The service key: no policy applies to it. */
  service: { seesBucket: true, select: true, insert: true, update: true, delete: true },
  /** A signed-in user of the folder. */
  writer: { seesBucket: true, select: true, insert: true, update: true, delete: true },
  reader: { ...nothing, seesBucket: true, select: true },
  inserter: { ...nothing, seesBucket: true, insert: true, update: true },
  /** Sees the bucket, and nothing in it. */
  blind: { ...nothing, seesBucket: true },
  /** A signed-in user for whom nobody wrote a policy. */
  stranger: nothing,
} as const satisfies Record<string, SupabaseRole>

export type SupabaseRoleName = keyof typeof supabaseRoles | 'expired'

/** What each bearer token is; any other is a token with a wrong signature. */
export type SupabaseTokens = Readonly<Record<string, SupabaseRoleName | SupabaseRole>>

/** @param access routes for `'anybody'` take a token that is not valid for none, and show nobody a bucket that is not public */
export function roleOf(
  authorization: string | undefined,
  tokens: SupabaseTokens,
  access?: 'anybody',
): SupabaseRole {
  const token = /^Bearer (.+)$/i.exec(authorization ?? '')?.[1]
  const isValid = token !== undefined && Object.hasOwn(tokens, token) && tokens[token] !== 'expired'
  if (access === 'anybody' && !isValid) throw noSuchBucket()
  if (token === undefined)
    throw new SupabaseProblem(400, 'Error', "headers must have required property 'authorization'")
  const role = Object.hasOwn(tokens, token) ? tokens[token] : undefined
  if (role === undefined) throw invalidToken('signature verification failed')
  if (role === 'expired') throw invalidToken('"exp" claim timestamp check failed')
  return typeof role === 'string' ? supabaseRoles[role] : role
}
