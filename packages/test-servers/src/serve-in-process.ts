import { startSupabaseServer, type SupabaseServerOptions } from './supabase/start-supabase-server.ts'
import { startGcsServer, type GcsServerOptions } from './gcs/start-gcs-server.ts'

/** Run by `startServerProcess`: serves until the parent is gone. */
const starters = {
  gcs: (options: GcsServerOptions) => startGcsServer(options),
  supabase: (options: SupabaseServerOptions) => startSupabaseServer(options),
}

export type ServedProtocol = keyof typeof starters

const [, , protocol = 'gcs', options = '{}'] = process.argv
const { name, url } = await starters[protocol as ServedProtocol](JSON.parse(options) as never)
process.on('disconnect', () => process.exit(0))
process.send?.({ name, url })
