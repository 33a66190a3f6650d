export { azureStore, type AzureStoreOptions } from './azure-store.ts'
