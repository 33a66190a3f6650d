/** For adapters: an etag without quotes, and not weak because something between has packed the bytes: answers differ in both. */
export function plainEtag(etag: string): string {
  return etag.replace(/^W\//, '').replaceAll('"', '')
}
