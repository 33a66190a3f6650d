import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { renderReport } from '../../src/index.ts'
import { openBrowser } from '../support/open-browser.ts'
import { runInRepository } from '../support/run-in-repository.ts'

let browser: Browser
let directory: string
beforeAll(async () => {
  browser = await openBrowser()
  directory = mkdtempSync(join(tmpdir(), 'ws-report-page-'))
})
afterAll(async () => {
  await browser.close()
  rmSync(directory, { recursive: true, force: true })
})

const pixel = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==',
  'base64',
)
const attacks = [
  '<script>window.attacked = 1</script>',
  '<img src=x onerror="window.attacked = 1">',
  '"><svg onload="window.attacked = 1">',
  '</pre></code><iframe srcdoc="<script>parent.attacked = 1</script>"></iframe>',
  '<style>@import "http://127.0.0.1:9/x";body{display:none}</style>',
  '<meta http-equiv=refresh content="0;url=javascript:attacked=1"><base href="http://127.0.0.1:9/">',
]

async function hostileRun(): Promise<string> {
  const components = Object.fromEntries(
    Array.from({ length: 30 }, (_, index) => [
      `src/part-${index % 4}/component-${index}.ts`,
      `export const value = ${index}\n`.repeat(20),
    ]),
  )
  const changed = Object.fromEntries(
    Object.entries(components).map(([path, text]) => [
      path,
      text.replace('value', `${'long'.repeat(80)}value`),
    ]),
  )
  const { result, events } = await runInRepository({
    before: { ...components, 'logo.png': 'old', 'big.txt': 'line\n'.repeat(2000) },
    after: {
      ...changed,
      'logo.png': pixel,
      'big.txt': 'changed\n'.repeat(2000),
      'evil.html': `${attacks.join('\n')}\n`,
      [`evil-${attacks[1]?.replaceAll('/', '')}`]: 'x\n',
      'vector.svg': '<svg xmlns="http://www.w3.org/2000/svg" onload="window.attacked = 1"/>',
    },
    agent: () => {
      throw new Error(attacks.join('\n'))
    },
  })
  const images = new Map([
    ['logo.png', { after: pixel }],
    ['vector.svg', { after: Buffer.from('<svg onload="attacked=1"/>') }],
  ])
  return renderReport(result, { events, images })
}

/** Opens a report as a file, and notes all that it tries. */
async function openReport(html: string, options: { width: number; isDark?: boolean }) {
  const file = join(directory, `${Math.random()}.html`)
  writeFileSync(file, html)
  const page = await browser.newPage({
    viewport: { width: options.width, height: 900 },
    colorScheme: options.isDark === true ? 'dark' : 'light',
  })
  const requests: string[] = []
  const complaints: string[] = []
  page.on('request', (request) => requests.push(request.url()))
  page.on('console', (message) => complaints.push(message.text()))
  page.on('pageerror', (error) => complaints.push(error.message))
  page.on('dialog', (dialog) => complaints.push(dialog.message()))
  await page.goto(pathToFileURL(file).href)
  const outside = () => requests.filter((url) => !url.startsWith('file:') && !url.startsWith('data:'))
  return { page, outside, complaints, requests }
}

const evaluate = <T>(page: Page, expression: string): Promise<T> => page.evaluate<T>(expression)

describe('a report in Chromium', () => {
  it('runs nothing that an agent wrote and asks for nothing, also when everything is opened', async () => {
    const html = await hostileRun()
    const { page, outside, complaints, requests } = await openReport(html, { width: 1280 })
    await page.getByRole('button', { name: 'Expand all' }).click()
    await page.getByText('Record as JSON').click()
    expect(await evaluate(page, 'window.attacked')).toBeUndefined()
    expect(outside()).toEqual([])
    expect(requests.filter((url) => url.startsWith('file:'))).toHaveLength(1)
    expect(complaints).toEqual([])
    expect(await page.locator('iframe, svg, base, object, embed').count()).toBe(0)
    expect(await page.locator('.images img').count()).toBe(1)
    expect(await evaluate(page, "document.querySelector('.images img').naturalWidth")).toBe(1)
    await page.close()
  })

  it('keeps its policy against a script that got into the page', async () => {
    const html = (await hostileRun()).replace(
      '</body>',
      `${attacks.join('')}<img src="http://127.0.0.1:9/"></body>`,
    )
    const { page, complaints } = await openReport(html, { width: 1280 })
    expect(await evaluate(page, 'window.attacked')).toBeUndefined()
    expect(complaints.join('\n')).toMatch(/Content Security Policy/)
    await page.close()
  })

  it.each([390, 768, 1280])('fits into a window of %i pixels', async (width) => {
    const { page } = await openReport(await hostileRun(), { width })
    await page.evaluate("for (const file of document.querySelectorAll('details')) file.open = true")
    const widest = await evaluate<number>(page, 'document.scrollingElement.scrollWidth')
    expect(widest).toBeLessThanOrEqual(width)
    const columns = await evaluate<number>(
      page,
      "getComputedStyle(document.querySelector('.paired .block')).gridTemplateColumns.split(' ').length",
    )
    expect(columns).toBe(width === 1280 ? 2 : 1)
    await page.close()
  })

  it('is dark for who wants it dark', async () => {
    const html = await hostileRun()
    const brightness = async (isDark: boolean) => {
      const { page } = await openReport(html, { width: 1280, isDark })
      const color = await evaluate<string>(page, 'getComputedStyle(document.body).backgroundColor')
      await page.close()
      return Number(/\d+/.exec(color)?.[0])
    }
    expect(await brightness(true)).toBeLessThan(60)
    expect(await brightness(false)).toBeGreaterThan(200)
  })

  it('filters its files, opens one by its link, and goes to the next by a key', async () => {
    const { page } = await openReport(await hostileRun(), { width: 1280 })
    await page.getByLabel('Filter files by path').fill('component-7')
    expect(await page.locator('.file:visible').count()).toBe(1)
    await page.getByLabel('Filter files by path').fill('')
    await page.locator('.tree a', { hasText: 'big.txt' }).click()
    expect(await page.locator('.file', { hasText: 'big.txt' }).first().getAttribute('open')).not.toBeNull()
    await page.locator('h1').click()
    await page.keyboard.press('j')
    expect(await evaluate(page, "document.activeElement.closest('.file')?.id")).toBe('file-0')
    await page.close()
  })
})
