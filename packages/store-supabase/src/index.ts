export { supabaseStore, type SupabaseStoreOptions } from './supabase-store.ts'
export { openSupabaseStore, type OpenSupabaseStoreOptions } from './open-supabase-store.ts'
export type { StorageClientLike, SupabaseClientLike } from './supabase-client.ts'
export { storageFetch } from './storage-fetch.ts'
