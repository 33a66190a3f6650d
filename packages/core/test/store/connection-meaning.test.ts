import { expect, it } from 'vitest'
import { connectionMeaning } from '../../src/store/call-failure.ts'

it.each([
  ['UNAVAILABLE', /nothing listens/, 'ECONNREFUSED'],
  ['UNAVAILABLE', /host was not found/, 'ENOTFOUND EAI_AGAIN'],
  ['UNAVAILABLE', /does not speak TLS/, 'EPROTO ERR_SSL_WRONG_VERSION_NUMBER ERR_SSL_PACKET_LENGTH_TOO_LONG'],
  ['UNAVAILABLE', /certificate .* not trusted.* NODE_EXTRA_CA_CERTS/, 'DEPTH_ZERO_SELF_SIGNED_CERT SELF_SIGNED_CERT_IN_CHAIN CERT_HAS_EXPIRED ERR_TLS_CERT_ALTNAME_INVALID UNABLE_TO_VERIFY_LEAF_SIGNATURE UNABLE_TO_GET_ISSUER_CERT_LOCALLY'],
  ['TIMEOUT', /did not answer in time/, 'ETIMEDOUT ESOCKETTIMEDOUT UND_ERR_CONNECT_TIMEOUT'],
  ['UNAVAILABLE', /connection failed; try again/, 'ECONNRESET EPIPE EHOSTUNREACH'],
])('%s, %s: %s', (code, reason, names) => {
  for (const name of names.split(' ')) {
    const [found, words] = connectionMeaning(name)
    expect([name, found]).toEqual([name, code])
    expect(words).toMatch(reason)
  }
}) // prettier-ignore

it('says so much of a connection that failed without a code', () => {
  expect(connectionMeaning()).toEqual(['UNAVAILABLE', 'the connection failed; try again'])
})
