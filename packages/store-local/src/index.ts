export { localStore, type LocalStoreOptions } from './local-store.ts'
