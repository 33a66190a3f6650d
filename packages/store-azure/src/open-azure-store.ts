import {
  BlobServiceClient,
  ContainerClient,
  StorageSharedKeyCredential,
  newPipeline,
} from '@azure/storage-blob'
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
import { azureStore } from './azure-store.ts'

export interface OpenAzureStoreOptions {
  readonly container: string
  /** @default the whole container */
  readonly prefix?: string | undefined
  /** @default AZURE_STORAGE_ACCOUNT */
  readonly account?: string | undefined
  /** The blob service of the account. @default https://<account>.blob.core.windows.net */
  readonly endpoint?: string | undefined
}

const openAzureStoreOptionNames: OptionNames<OpenAzureStoreOptions> = {
  container: isBucketName,
  prefix: isStorePrefix,
  // A part of a host name.
  account: (value) =>
    typeof value === 'string' && /^[a-z0-9-]{1,63}$/i.test(value) ? null : 'the name of a storage account',
  endpoint: isServiceUrl,
}

/** Repeating requests is the work of the wrapper around the store; and the service sends none of them elsewhere. */
const onceOnly = { retryOptions: { maxTries: 1 }, redirectOptions: { maxRetries: 0 } }

/**
 * The store of `azure://container/prefix`, with the credentials of the environment, the first that is there:
 * `AZURE_STORAGE_CONNECTION_STRING`; `AZURE_STORAGE_KEY` or `AZURE_STORAGE_SAS_TOKEN` with the account; else what
 * `DefaultAzureCredential` of `@azure/identity` finds. The SDK repeats nothing: wrap the store in `reliableStore`.
 *
 * @throws `INVALID_INPUT` when neither account nor endpoint is known
 * @throws `UNSUPPORTED` when `@azure/identity` is needed and not installed
 */
export async function openAzureStore(options: OpenAzureStoreOptions): Promise<ObjectStore> {
  assertKnownOptions('openAzureStore', options, openAzureStoreOptionNames)
  const { container, prefix } = options
  if (container === undefined)
    throw new WorkspaceError('INVALID_INPUT', 'openAzureStore needs the name of a container.')
  const client = await openContainer(container, options)
  if (client.containerName !== container)
    throw new WorkspaceError(
      'INVALID_INPUT',
      `Cannot open the Azure container ${JSON.stringify(container)}: its endpoint lacks the account, which comes behind the host where this is an IP address or localhost: http://127.0.0.1:10000/account.`,
      { details: { container } },
    )
  return azureStore({ container: client, prefix })
}

async function openContainer(name: string, options: OpenAzureStoreOptions): Promise<ContainerClient> {
  const connection = fromEnvironment('AZURE_STORAGE_CONNECTION_STRING')
  if (connection !== undefined && options.account === undefined && options.endpoint === undefined)
    return clientFor('AZURE_STORAGE_CONNECTION_STRING is no connection string', name, () =>
      BlobServiceClient.fromConnectionString(connection, onceOnly).getContainerClient(name),
    )
  const account = options.account ?? fromEnvironment('AZURE_STORAGE_ACCOUNT')
  const endpoint =
    options.endpoint ?? (account === undefined ? undefined : `https://${account}.blob.core.windows.net`)
  if (endpoint === undefined)
    throw new WorkspaceError(
      'INVALID_INPUT',
      'Nothing says which Azure account it is: write azure://container?account=name, or set AZURE_STORAGE_ACCOUNT or AZURE_STORAGE_CONNECTION_STRING.',
      { details: { container: name } },
    )
  // An account of the environment may be anything.
  if (isServiceUrl(endpoint) !== null)
    throw notAcceptable('AZURE_STORAGE_ACCOUNT is no name of an account', name)
  const url = `${endpoint.replace(/\/$/, '')}/${encodeURIComponent(name)}`
  const accountKey = fromEnvironment('AZURE_STORAGE_KEY')
  if (account !== undefined && accountKey !== undefined)
    return new ContainerClient(
      url,
      newPipeline(new StorageSharedKeyCredential(account, accountKey), onceOnly),
    )
  const signature = fromEnvironment('AZURE_STORAGE_SAS_TOKEN')
  if (signature !== undefined)
    return new ContainerClient(`${url}?${signature.replace(/^\?/, '')}`, newPipeline(undefined, onceOnly))
  return new ContainerClient(url, newPipeline(await defaultCredential(), onceOnly))
}

/** The SDK's own errors repeat what they could not read. */
function clientFor(reason: string, name: string, open: () => ContainerClient): ContainerClient {
  try {
    return open()
  } catch {
    throw notAcceptable(reason, name)
  }
}

function notAcceptable(reason: string, container: string): WorkspaceError {
  return new WorkspaceError(
    'INVALID_INPUT',
    `Cannot open the Azure container ${JSON.stringify(container)}: ${reason}. Copy it from the account's "Access keys" page.`,
    { details: { container } },
  )
}

type Credential = NonNullable<Parameters<typeof newPipeline>[0]>

/** Not a dependency: only who uses it installs it. */
async function defaultCredential(): Promise<Credential> {
  const packageName = '@azure/identity'
  try {
    const identity = (await import(packageName)) as { readonly DefaultAzureCredential: new () => Credential }
    return new identity.DefaultAzureCredential()
  } catch (error) {
    throw new WorkspaceError(
      'UNSUPPORTED',
      'There are no Azure credentials in the environment: set AZURE_STORAGE_KEY, or install @azure/identity to use Entra ID.',
      { cause: error, details: { package: packageName } },
    )
  }
}
