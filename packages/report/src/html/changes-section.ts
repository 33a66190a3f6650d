import { statusLetters } from '../change-facts.ts'
import { formatCount } from '../format-size.ts'
import type { DiffContent, FileDiff } from '../list-file-diffs.ts'
import { fileSection, type FileSectionContext } from './file-section.ts'
import { fileTree, type TreeDirectory } from './file-tree.ts'
import { createImageViewer, type ReportImages } from './image-view.ts'
import { content, markup, type Markup } from './markup.ts'
import { lineCounts } from './line-counts.ts'
import type { ReportCaps } from './report-caps.ts'
import { createBlockMaker } from '../patch/change-blocks.ts'

export interface ChangesOptions {
  readonly whereabouts: string | null
  readonly caps: ReportCaps
  readonly images: ReportImages
}

/** The tree of changed files and, beside it, each of them with its content. */
export function changesSection({ files, patch }: DiffContent, options: ChangesOptions): Markup {
  const { whereabouts, caps, images } = options
  if (files.length === 0)
    return markup`<main id="changes"><p class="empty">Nothing changed in the workspace.</p></main>`
  const shown = files.slice(0, caps.maxFiles)
  const context: FileSectionContext = {
    patch,
    caps,
    images,
    viewImage: createImageViewer(caps.maxImageBytes),
    makeBlocks: createBlockMaker(),
    budget: { lines: caps.maxLines, openLines: 2_000 },
  }
  return markup`<div class="layout">
    <nav class="tree" aria-label="Changed files">
      <details open>
        <summary><h2>${formatCount(files.length, 'file')}</h2></summary>
        <input
          class="filter"
          type="search"
          placeholder="Filter by path"
          aria-label="Filter files by path"
          hidden
        />
        ${treeList(fileTree(shown))}
      </details>
    </nav>
    <main id="changes">
      <div class="toolbar" hidden>
        <h2>Changes</h2>
        <button type="button" data-all="open">Expand all</button>
        <button type="button" data-all="close">Collapse all</button>
        <span class="keys quiet"><kbd>j</kbd> <kbd>k</kbd> next, previous file</span>
      </div>
      ${whereabouts !== null && markup`<p class="note">${whereabouts}</p>`}
      ${shown.map((file, index) => fileSection(file, index, context))}
      ${files.length > shown.length && markup`<p class="note">${formatCount(files.length - shown.length, 'more file')} not shown: the report stops at ${formatCount(caps.maxFiles, 'file')}.</p>`}
    </main>
  </div>`
}

function treeList(directory: TreeDirectory): Markup {
  return markup`<ul>
    ${directory.directories.map(
      (child) => markup`<li><span class="directory">${content(child.name)}/</span>${treeList(child)}</li>`,
    )}${directory.files.map(({ name, file, index }) => markup`<li>${treeFile(name, file, index)}</li>`)}
  </ul>`
}

function treeFile(name: string, file: FileDiff, index: number): Markup {
  return markup`<a href="#file-${index}" data-file="${index}"
    ><span class="letter ${file.status}" title="${file.status}">${statusLetters[file.status]}</span
    ><span class="name">${content(name)}</span>${lineCounts(file)}</a
  >`
}
