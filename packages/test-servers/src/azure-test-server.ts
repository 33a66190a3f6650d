/** A running blob service, and what a client needs to talk to it. */
export interface AzureTestServer {
  /** What a test prints, so that it is clear what it ran against. */
  readonly name: string
  /** Of the account: `http://127.0.0.1:12345/wstest`. */
  readonly url: string
  readonly account: string
  readonly accountKey: string
  stop(): Promise<void>
}

/** The real account that the environment names, or `null`: `WS_TEST_AZURE_URL`, `WS_TEST_AZURE_ACCOUNT`, `WS_TEST_AZURE_KEY`. */
export function realAzureServer(environment: NodeJS.ProcessEnv = process.env): AzureTestServer | null {
  const {
    WS_TEST_AZURE_URL: url,
    WS_TEST_AZURE_ACCOUNT: account,
    WS_TEST_AZURE_KEY: accountKey,
  } = environment
  if (url === undefined || account === undefined || accountKey === undefined) return null
  return { name: `Azure, account ${account}`, url, account, accountKey, stop: async () => undefined }
}
