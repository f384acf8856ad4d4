// Selection of the content blocks of a page by length, link density and neighbours, after jusText and boilerpipe,
// without word lists so that it works in any language.
import type { HtmlBlock } from './blocks.ts'

/** @source Pomikálek, Removing Boilerplate and Duplicate Content from Web Corpora (2011), ch. 3: the thresholds. */
const goodLength = 140
const shortLength = 70
const maxGoodLinkDensity = 0.33
const maxLinkDensity = 0.5
const headingReach = 200
/** Characters in <main> or <article> from which nothing outside is content. */
const enoughMain = 200

interface BlockGroup {
  blocks: HtmlBlock[]
  length: number
  linkDensity: number
  heading: boolean
  label: 'good' | 'near' | 'short' | 'bad'
}

/** The content blocks, in order, in groups of lines that belong together (a list, a table, one paragraph). */
export const contentGroups = (blocks: readonly HtmlBlock[]): HtmlBlock[][] => {
  const chosen = chooseGroups(blocks)
  // Names can mislead, such as a whole page in <div class="widget">: then they are ignored.
  const prose = blocks.filter(
    (block) => block.text.length >= shortLength && block.linkLength <= maxGoodLinkDensity * block.text.length,
  )
  if (textLength(chosen.flat()) >= 0.1 * textLength(prose)) return chosen
  return chooseGroups(blocks.map((block) => ({ ...block, boilerplate: false })))
}

const chooseGroups = (blocks: readonly HtmlBlock[]): HtmlBlock[][] => {
  const main = blocks.filter((block) => block.main && !block.boilerplate)
  const mainLength = textLength(main)
  const mainGroups = () =>
    withoutLoneHeadings(grouped(main).filter((group) => !isLinkList(group))).map((group) => group.blocks)
  if (mainLength >= enoughMain && mainLength >= 0.1 * textLength(blocks.filter((block) => !block.boilerplate))) {
    return mainGroups()
  }
  const groups = grouped(blocks)
  for (const group of groups) group.label = classify(group)
  smooth(groups)
  if (!groups.some((group) => group.label === 'good' && !group.heading)) {
    // Without long blocks, all blocks of a short page that are not links are content.
    for (const group of groups) {
      const usable = !group.blocks[0].boilerplate && group.linkDensity <= maxGoodLinkDensity
      group.label = usable ? 'good' : 'bad'
    }
    if (textLength(groups.filter((group) => group.label === 'good').flatMap((group) => group.blocks)) < goodLength) {
      return mainLength >= shortLength ? mainGroups() : []
    }
  }
  return withoutLoneHeadings(groups.filter((group) => group.label === 'good')).map((group) => group.blocks)
}

const textLength = (blocks: readonly HtmlBlock[]): number => {
  let length = 0
  for (const block of blocks) length += block.text.length
  return length
}

const grouped = (blocks: readonly HtmlBlock[]): BlockGroup[] => {
  const groups: HtmlBlock[][] = []
  let last: HtmlBlock | undefined
  for (const block of blocks) {
    const joins =
      last !== undefined &&
      (block.kind === 'item' || block.kind === 'row' || block.kind === 'code') &&
      block.kind === last.kind &&
      block.main === last.main &&
      block.boilerplate === last.boilerplate
    if (joins) groups[groups.length - 1].push(block)
    else groups.push([block])
    last = block
  }
  return groups.map((members) => {
    const length = textLength(members)
    let links = 0
    for (const member of members) links += member.linkLength
    return {
      blocks: members,
      length,
      linkDensity: links / Math.max(1, length),
      heading: members[0].kind === 'heading',
      label: 'bad',
    }
  })
}

// Ends of sentences; and lines that end like sentences but are not content.
const sentence = /[.!?…。！？؟।]["'”’»)\]]*$/
const notice = /^(?:©|copyright\b)|all rights reserved|\bcookies?\b/i

const classify = (group: BlockGroup): BlockGroup['label'] => {
  const { kind, boilerplate, text } = group.blocks[0]
  if (boilerplate) return 'bad'
  // Cells of data tables are often links; a table of one row is layout.
  const isTable = kind === 'row' && group.blocks.length >= 3 && group.length >= goodLength
  if (group.linkDensity > (isTable ? 0.85 : maxLinkDensity)) return 'bad'
  if (isTable) return 'good'
  if (group.length < 2 * goodLength && notice.test(text)) return 'bad'
  if (group.length < shortLength) return group.linkDensity > maxGoodLinkDensity ? 'bad' : 'short'
  if (group.length >= goodLength && group.linkDensity <= maxGoodLinkDensity) return 'good'
  // One sentence between headings or links, as on a home page.
  return kind !== 'item' && group.linkDensity <= maxGoodLinkDensity && sentence.test(text) ? 'good' : 'near'
}

const isShortSentence = (group: BlockGroup): boolean => {
  const { text, kind } = group.blocks[0]
  return kind === 'paragraph' && (sentence.test(text) || text.endsWith(':')) && text.split(' ').length >= 5
}

/** Labels short and doubtful groups like their nearest certain neighbours, and headings like the text below them. */
const smooth = (groups: BlockGroup[]): void => {
  const original = groups.map((group) => group.label)
  const certain = (label: BlockGroup['label']) => label === 'good' || label === 'bad'
  const before: BlockGroup['label'][] = []
  const after: BlockGroup['label'][] = new Array(groups.length)
  let last: BlockGroup['label'] = 'bad'
  groups.forEach((_, index) => {
    before[index] = last
    if (certain(original[index])) last = original[index]
  })
  last = 'bad'
  for (let index = groups.length - 1; index >= 0; index--) {
    after[index] = last
    if (certain(original[index])) last = original[index]
  }
  groups.forEach((group, index) => {
    if (original[index] === 'near') group.label = before[index] === 'bad' && after[index] === 'bad' ? 'bad' : 'good'
    else if (original[index] === 'short' && !group.heading) {
      const goodSides = (before[index] === 'good' ? 1 : 0) + (after[index] === 'good' ? 1 : 0)
      group.label = goodSides >= (isShortSentence(group) ? 1 : 2) ? 'good' : 'bad'
    }
  })
  for (let index = groups.length - 1; index >= 0; index--) {
    if (!groups[index].heading || groups[index].blocks[0].boilerplate) continue
    let distance = 0
    groups[index].label = 'bad'
    for (let next = index + 1; next < groups.length && distance <= headingReach; next++) {
      if (groups[next].label === 'good') {
        groups[index].label = 'good'
        break
      }
      distance += groups[next].length
    }
  }
}

/** Whether a list or paragraph consists of short links only, as navigation within the content does. */
const isLinkList = (group: BlockGroup): boolean => {
  if (group.heading || group.blocks[0].kind === 'row' || group.linkDensity < 0.9) return false
  return group.length / group.blocks.length < 60
}

/** Removes headings without content: before the end, or before a heading of the same or a higher level. */
const withoutLoneHeadings = (groups: BlockGroup[]): BlockGroup[] => {
  let below = 0 // level of the heading that follows; 0 at the end
  let content = false
  const kept: BlockGroup[] = []
  for (let index = groups.length - 1; index >= 0; index--) {
    const group = groups[index]
    const level = group.blocks[0].level
    if (!group.heading) content = true
    else if (!content && (below === 0 || below <= level)) continue
    else {
      content = false
      below = level
    }
    kept.push(group)
  }
  return kept.reverse()
}
