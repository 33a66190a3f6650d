export { memoryDisk } from './memory-disk.ts'
export type { S3TestClientConfig, S3TestServer } from './s3-test-server.ts'
export { realS3Server } from './real-s3-server.ts'
export { startFauxqs } from './start-fauxqs.ts'
export { startR2Server } from './start-r2-server.ts'
export { startFaultProxy, type FaultProxy, type FaultProxyOptions } from './start-fault-proxy.ts'
export { captivePortal, type Answer, type Fault, type FaultRule, type SeenRequest } from './fault.ts'
export { realAzureServer, type AzureTestServer } from './azure-test-server.ts'
export { startAzurite } from './start-azurite.ts'
export { startTroubleFixtures, type TroubleFixturesOptions } from './trouble-fixtures.ts'
export { startGcsServer, type GcsServer, type GcsServerOptions } from './gcs/start-gcs-server.ts'
export type { GcsReaction } from './gcs/gcs-answer.ts'
export type { GcsRequest, GcsTokens } from './gcs/gcs-route.ts'
export type { GcsSigner } from './gcs/gcs-signed-url.ts'
export { startServerProcess, type ServerProcess } from './start-server-process.ts'
export {
  startSupabaseServer,
  type SupabaseServer,
  type SupabaseServerOptions,
} from './supabase/start-supabase-server.ts'
export type { SupabaseRoleName, SupabaseTokens } from './supabase/supabase-role.ts'
