export { azureStore, type AzureStoreOptions } from './azure-store.ts'
export { openAzureStore, type OpenAzureStoreOptions } from './open-azure-store.ts'
