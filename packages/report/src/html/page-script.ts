/**
 * The page works without this script; with it there are buttons to copy and to expand, a filter, keys, and a
 * selection that keeps to one side. It only shows, hides and selects: it makes no markup and no request.
 */
export const pageScript = `'use strict'
const all = (selector) => [...document.querySelectorAll(selector)]
const files = all('.file')
const links = all('.tree a[data-file]').sort((left, right) => left.dataset.file - right.dataset.file)
for (const element of all('.toolbar, .filter, [data-copy]')) element.hidden = false

// On a phone a long list would stand before everything else.
const tree = document.querySelector('.tree details')
if (tree && files.length > 12 && matchMedia('(max-width: 800px)').matches) tree.open = false

const open = (file) => { if (file.tagName === 'DETAILS') file.open = true }
const visit = () => {
  const file = document.getElementById(location.hash.slice(1))
  if (file && file.classList.contains('file')) { open(file); file.scrollIntoView() }
}
addEventListener('hashchange', visit)
visit()

for (const link of links) link.addEventListener('click', () => open(files[Number(link.dataset.file)]))
for (const button of all('[data-all]')) button.addEventListener('click', () => {
  for (const file of files) if (file.tagName === 'DETAILS') file.open = button.dataset.all === 'open'
})

for (const button of all('[data-copy]')) button.addEventListener('click', async () => {
  const source = document.getElementById(button.dataset.copy)
  try {
    await navigator.clipboard.writeText(source.textContent)
    button.textContent = 'Copied'
  } catch {
    getSelection().selectAllChildren(source)
    button.textContent = 'Selected: press Ctrl+C'
  }
  setTimeout(() => { button.textContent = 'Copy' }, 2000)
})

const filter = document.querySelector('.filter')
if (filter) filter.addEventListener('input', () => {
  const text = filter.value.toLowerCase()
  for (const [index, file] of files.entries()) {
    const path = file.querySelector('.path').textContent.toLowerCase()
    const isHidden = !path.includes(text)
    file.hidden = isHidden
    links[index].parentElement.hidden = isHidden
  }
  for (const item of all('.tree li').reverse()) {
    const list = item.querySelector(':scope > ul')
    if (list) item.hidden = [...list.children].every((child) => child.hidden)
  }
})

addEventListener('keydown', (event) => {
  const isTyping = event.target instanceof HTMLInputElement
  if (isTyping || event.ctrlKey || event.metaKey || event.altKey || !/^[jk]$/.test(event.key)) return
  const shown = files.filter((file) => !file.hidden)
  const focused = document.activeElement && document.activeElement.closest('.file')
  const at = shown.indexOf(focused)
  const next = shown[event.key === 'j' ? at + 1 : Math.max(at - 1, 0)]
  if (!next) return
  const target = next.querySelector('summary') || next
  target.focus({ preventScroll: true })
  next.scrollIntoView()
})

addEventListener('pointerdown', (event) => {
  const line = event.target instanceof Element && event.target.closest('.paired .line')
  const rows = line && line.closest('.file')
  for (const element of all('[data-select]')) delete element.dataset.select
  if (rows) rows.dataset.select = line.classList.contains('old') ? 'old' : 'new'
})
`
