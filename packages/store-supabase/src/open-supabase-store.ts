import {
  WorkspaceError,
  assertKnownOptions,
  isBucketName,
  fromEnvironment,
  isServiceUrl,
  isStorePrefix,
  type ObjectStore,
  type OptionNames,
} from '@ws/core'
import { storageFetch } from './storage-fetch.ts'
import { supabaseStore } from './supabase-store.ts'

export interface OpenSupabaseStoreOptions {
  readonly bucket: string
  /** @default the whole bucket */
  readonly prefix?: string | undefined
  /** Of the project, `https://<project>.supabase.co`. @default SUPABASE_URL */
  readonly url?: string | undefined
}

const openSupabaseStoreOptionNames: OptionNames<OpenSupabaseStoreOptions> = {
  bucket: isBucketName,
  prefix: isStorePrefix,
  url: isServiceUrl,
}

/**
 * The store of `supabase://bucket/prefix`, with the first key that is in the environment:
 * `SUPABASE_SERVICE_ROLE_KEY`, `SUPABASE_SECRET_KEY`, `SUPABASE_KEY`, `SUPABASE_ANON_KEY`.
 *
 * @throws `INVALID_INPUT` when the environment names no project or no key
 */
export async function openSupabaseStore(options: OpenSupabaseStoreOptions): Promise<ObjectStore> {
  assertKnownOptions('openSupabaseStore', options, openSupabaseStoreOptionNames)
  if (options.bucket === undefined)
    throw new WorkspaceError('INVALID_INPUT', 'openSupabaseStore needs the name of a bucket.')
  const url = options.url ?? fromEnvironment('SUPABASE_URL')
  const key = fromEnvironment(
    'SUPABASE_SERVICE_ROLE_KEY',
    'SUPABASE_SECRET_KEY',
    'SUPABASE_KEY',
    'SUPABASE_ANON_KEY',
  )
  if (url === undefined)
    throw new WorkspaceError(
      'INVALID_INPUT',
      'Nothing says which Supabase project it is: set SUPABASE_URL, or write supabase://bucket?url=.',
    )
  if (isServiceUrl(url) !== null)
    throw new WorkspaceError(
      'INVALID_INPUT',
      'SUPABASE_URL is not the URL of a Supabase project: it looks like https://<project>.supabase.co.',
    )
  if (key === undefined)
    throw new WorkspaceError(
      'INVALID_INPUT',
      'There is no Supabase key in the environment: set SUPABASE_SERVICE_ROLE_KEY.',
    )
  const { createClient } = await import('@supabase/supabase-js')
  const client = createClient(url, key, {
    auth: { persistSession: false, autoRefreshToken: false },
    global: { fetch: storageFetch },
  })
  return supabaseStore({ client, bucket: options.bucket, prefix: options.prefix })
}
