import { createClient } from '@supabase/supabase-js'
import { supabaseStore } from '@ws/store-supabase'
import { startSupabaseServer } from '@ws/test-servers'
import { describeEngine } from './describe-engine.ts'

describeEngine('Supabase Storage, by its protocol on loopback', async () => {
  const server = await startSupabaseServer()
  const client = createClient(server.url, 'service-key')
  return { store: supabaseStore({ client, bucket: 'bucket' }), close: () => server.stop() }
})
