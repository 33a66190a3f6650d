import {
  WorkspaceError,
  assertKnownOptions,
  isBucketName,
  isFilledText,
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
  url: isFilledText,
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
  const { SUPABASE_URL, SUPABASE_SERVICE_ROLE_KEY, SUPABASE_SECRET_KEY, SUPABASE_KEY, SUPABASE_ANON_KEY } =
    process.env
  const url = options.url ?? SUPABASE_URL
  const key = SUPABASE_SERVICE_ROLE_KEY ?? SUPABASE_SECRET_KEY ?? SUPABASE_KEY ?? SUPABASE_ANON_KEY
  if (url === undefined || url === '')
    throw new WorkspaceError(
      'INVALID_INPUT',
      'Nothing says which Supabase project it is: set SUPABASE_URL, or write supabase://bucket?url=.',
    )
  if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol))
    throw new WorkspaceError(
      'INVALID_INPUT',
      'The URL of the Supabase project is none: it looks like https://<project>.supabase.co.',
    )
  if (key === undefined || key === '')
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
