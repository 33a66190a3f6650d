import { existsSync, readdirSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { chromium, type Browser } from 'playwright-core'
import { provideDebianPackage } from '../../../../scripts/debian-package.ts'

const names = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable']

/** The Chromium of the machine. Where there is none it is Debian's. */
export async function openBrowser(): Promise<Browser> {
  const found = findChromium() ?? provideChromium()
  return chromium.launch({
    ...found,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--disable-background-networking',
      '--disable-sync',
    ],
  })
}

interface FoundBrowser {
  readonly executablePath: string
  readonly env?: Record<string, string>
}

function findChromium(): FoundBrowser | null {
  const paths = (process.env['PATH'] ?? '')
    .split(delimiter)
    .flatMap((directory) => names.map((name) => join(directory, name)))
  const executablePath = paths.find((path) => existsSync(path))
  return executablePath === undefined ? null : { executablePath }
}

function provideChromium(): FoundBrowser {
  const root = provideDebianPackage('chromium')
  const libraries = join(root, 'usr/lib')
  const platform = readdirSync(libraries).find((name) => name.endsWith('-linux-gnu')) ?? ''
  // What starts it by the name of `chromium` looks for it in the machine's own directories.
  return {
    executablePath: join(libraries, 'chromium/chromium'),
    env: { PATH: process.env['PATH'] ?? '', LD_LIBRARY_PATH: join(libraries, platform) },
  }
}
