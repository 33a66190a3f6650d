import { startAzurite } from '@ws/test-servers'

/** The cloud services that the programs on the pages talk to, here on loopback. */
export interface Services {
  /** What a user would set, too, for the SDKs to find the services and the credentials. */
  readonly environment: Readonly<Record<string, string>>
  stop(): Promise<void>
}

export async function startServices(): Promise<Services> {
  const azure = await startAzurite()
  return {
    environment: {
      AZURE_STORAGE_CONNECTION_STRING: `DefaultEndpointsProtocol=http;AccountName=${azure.account};AccountKey=${azure.accountKey};BlobEndpoint=${azure.url};`,
    },
    stop: () => azure.stop(),
  }
}
