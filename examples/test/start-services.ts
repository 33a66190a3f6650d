import { startAzurite, startGcsServer, startR2Server, startSupabaseServer } from '@ws/test-servers'

/** The cloud services that the programs on the pages talk to, here on loopback. */
export interface Services {
  /** What a user would set, too, for the SDKs to find the services and the credentials. */
  readonly environment: Readonly<Record<string, string>>
  stop(): Promise<void>
}

export async function startServices(): Promise<Services> {
  const [azure, r2, gcs, supabase] = await Promise.all([
    startAzurite(),
    startR2Server(),
    startGcsServer({ buckets: ['workspaces'] }),
    startSupabaseServer({ buckets: ['workspaces'] }),
  ])
  const { endpoint = '', credentials } = r2.clientConfig
  return {
    environment: {
      AZURE_STORAGE_CONNECTION_STRING: `DefaultEndpointsProtocol=http;AccountName=${azure.account};AccountKey=${azure.accountKey};BlobEndpoint=${azure.url};`,
      AWS_ENDPOINT_URL_S3: endpoint,
      AWS_REGION: r2.clientConfig.region,
      AWS_ACCESS_KEY_ID: credentials?.accessKeyId ?? '',
      AWS_SECRET_ACCESS_KEY: credentials?.secretAccessKey ?? '',
      AWS_REQUEST_CHECKSUM_CALCULATION: 'WHEN_REQUIRED',
      AWS_RESPONSE_CHECKSUM_VALIDATION: 'WHEN_REQUIRED',
      BUCKET: r2.bucket,
      STORAGE_EMULATOR_HOST: gcs.url,
      SUPABASE_URL: supabase.url,
      SUPABASE_SERVICE_ROLE_KEY: 'service-key',
    },
    async stop() {
      await Promise.all([azure.stop(), r2.stop(), gcs.stop(), supabase.stop()])
    },
  }
}
