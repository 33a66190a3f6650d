import { expect, it } from 'vitest'
import { realS3Server, startFauxqs, startR2Server } from '../src/index.ts'

it.each([startR2Server, startFauxqs])('%o starts on loopback, answers, and stops', async (start) => {
  const server = await start()
  const endpoint = server.clientConfig.endpoint ?? ''
  const url = new URL(endpoint)
  expect(url.hostname).toBe('127.0.0.1')
  expect((await fetch(`${endpoint}/${server.bucket}`)).status).toBe(server.checksSignatures ? 400 : 200)
  await server.stop()
  await expect(fetch(url)).rejects.toThrow()
})

it('takes a real service from the environment, and none where none is named', () => {
  expect(realS3Server({})).toBe(null)
  const server = realS3Server({ WS_TEST_S3_BUCKET: 'mine', WS_TEST_S3_REGION: 'eu-central-1' })
  expect(server).toMatchObject({ bucket: 'mine', clientConfig: { region: 'eu-central-1' } })
  expect(server?.name).toContain('mine')
})
