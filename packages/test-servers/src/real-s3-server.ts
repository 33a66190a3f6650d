import type { S3TestServer } from './s3-test-server.ts'

/**
 * The real service that the environment names, or `null`: `WS_TEST_S3_BUCKET`, and where needed `WS_TEST_S3_REGION`,
 * `WS_TEST_S3_ENDPOINT`, `WS_TEST_S3_PATH_STYLE=1`, `WS_TEST_S3_CHECKSUMS=WHEN_REQUIRED`. Credentials come from the
 * SDK's own default chain (`AWS_ACCESS_KEY_ID`, a profile, an instance role). Tests leave nothing behind but what they
 * were killed over.
 */
export function realS3Server(environment: NodeJS.ProcessEnv = process.env): S3TestServer | null {
  const bucket = environment['WS_TEST_S3_BUCKET']
  if (bucket === undefined || bucket === '') return null
  const endpoint = environment['WS_TEST_S3_ENDPOINT']
  const checksums = environment['WS_TEST_S3_CHECKSUMS']
  return {
    name: `${endpoint ?? 'AWS'}, bucket ${bucket}`,
    bucket,
    clientConfig: {
      region: environment['WS_TEST_S3_REGION'] ?? 'us-east-1',
      ...(endpoint === undefined ? {} : { endpoint }),
      ...(environment['WS_TEST_S3_PATH_STYLE'] === '1' ? { forcePathStyle: true } : {}),
      ...(checksums === 'WHEN_REQUIRED'
        ? {
            requestChecksumCalculation: 'WHEN_REQUIRED',
            responseChecksumValidation: 'WHEN_REQUIRED',
            expectContinueHeader: false,
          }
        : {}),
    },
    checksSignatures: true,
    stop: async () => undefined,
  }
}
