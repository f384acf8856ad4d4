// Tags of wikitext by how their content is rendered.

/** Tags whose content is not prose. */
export const droppedTags = new Set(
  (
    'ref references gallery timeline imagemap score graph templatestyles mapframe maplink hiero inputbox categorytree section ' +
    'includeonly charinsert indicator pages rss table style script templatedata noinclude'
  ).split(' '),
)
export const verbatimTags = new Set(['syntaxhighlight', 'source', 'pre'])
export const formulaTags = new Set(['math', 'chem', 'ce'])
const paragraphTags = new Set('p div center blockquote section article poem h1 h2 h3 h4 h5 h6 ul ol dl'.split(' '))
const inlineTags = new Set(
  (
    'b i u s del ins em strong small big sub sup span font tt code kbd samp var cite q dfn abbr strike bdi bdo ruby rb rp rt ' +
    'a mark time data wbr nowiki onlyinclude translate tvar languages noinclude caption thead tbody tfoot tr td th col ' +
    'colgroup dt rtc img input'
  ).split(' '),
)
/** Tags that become a fixed text, with the text of the end tag if it differs. */
export const textTags = new Map<string, { start: string; end?: string }>([
  ['br', { start: '\u0003' }],
  ['hr', { start: '\n\n' }],
  ['li', { start: '\n* ', end: '\n' }],
  ['dd', { start: '\n' }],
  ...[...paragraphTags].map((name): [string, { start: string }] => [name, { start: '\n\n' }]),
])

/** Whether a name is that of a tag; other `<` are text. */
export const isTag = (name: string): boolean =>
  textTags.has(name) || droppedTags.has(name) || verbatimTags.has(name) || formulaTags.has(name) || inlineTags.has(name)
