import { formatSize } from '../format-size.ts'
import { markup, type Markup } from './markup.ts'

export interface ReportImage {
  /** Bytes before the run. @default not shown */
  readonly before?: Uint8Array | undefined
  /** Bytes after the run. @default not shown */
  readonly after?: Uint8Array | undefined
}

/** By path, as in `FileChange.path`. */
export type ReportImages = ReadonlyMap<string, ReportImage>

export type ImageViewer = (image: ReportImage) => Markup | null

/** Draws images until their bytes together reach eight times the cap of one. */
export function createImageViewer(maxImageBytes: number): ImageViewer {
  let budget = maxImageBytes * 8
  const side = (bytes: Uint8Array | undefined, caption: string): Markup | null => {
    if (bytes === undefined) return null
    const type = imageType(bytes)
    const label = markup`<figcaption>
      ${caption} <span class="quiet">${formatSize(bytes.byteLength)}</span>
    </figcaption>`
    if (type === null)
      return markup`<figure>
        ${label}
        <p class="quiet">Not shown: not a PNG, JPEG, GIF or WebP image.</p>
      </figure>`
    if (bytes.byteLength > maxImageBytes || bytes.byteLength > budget) {
      return markup`<figure>
        ${label}
        <p class="quiet">Not shown: over the cap for images.</p>
      </figure>`
    }
    budget -= bytes.byteLength
    const data = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64')
    return markup`<figure>
      ${label}<img src="data:${type};base64,${data}" alt="${caption}" decoding="async" />
    </figure>`
  }
  return (image) => {
    const sides = [side(image.before, 'Before'), side(image.after, 'After')].filter(
      (figure) => figure !== null,
    )
    return sides.length === 0 ? null : markup`<div class="images">${sides}</div>`
  }
}

/** By the first bytes, never by the name. SVG is text that can act, so it is not among them. */
function imageType(bytes: Uint8Array): string | null {
  const start = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.byteLength, 12)).toString('latin1')
  if (start.startsWith('\x89PNG\r\n\x1a\n')) return 'image/png'
  if (start.startsWith('\xff\xd8\xff')) return 'image/jpeg'
  if (start.startsWith('GIF87a') || start.startsWith('GIF89a')) return 'image/gif'
  return start.startsWith('RIFF') && start.slice(8) === 'WEBP' ? 'image/webp' : null
}
