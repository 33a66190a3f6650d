/** Takes credentials and signatures out of text that a service or the SDK wrote. */
export function redact(text: string, secrets: readonly string[]): string {
  let clean = text
  for (const secret of secrets) {
    // Short values would tear harmless words apart; no real credential is that short.
    if (secret.length < 8) continue
    for (const form of [secret, encodeURIComponent(secret)]) clean = clean.replaceAll(form, '[redacted]')
  }
  return clean
    .replaceAll(/(X-Amz-(?:Signature|Credential|Security-Token)=)[^&\s"'<]+/gi, '$1[redacted]')
    .replaceAll(/(Signature=|Credential=)[^,\s"'<]+/gi, '$1[redacted]')
    .replaceAll(/(x-amz-security-token\s*[:=]\s*)\S+/gi, '$1[redacted]')
    .replaceAll(/\b(?:AKIA|ASIA)[A-Z0-9]{12,}\b/g, '[redacted]')
    .replaceAll(/:\/\/[^/\s:@]+:[^/\s@]+@/g, '://[redacted]@')
}
