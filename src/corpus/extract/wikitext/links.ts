// Tags of wikitext by how their content is rendered, the text of links, and links without text: files, categories, other
// languages.

export interface WikiNamespaces {
  /** Names of the File namespace in lower case. */
  file: ReadonlySet<string>
  /** Names of the Category namespace in lower case. */
  category: ReadonlySet<string>
}

// Translated pages have links with the namespace names of the other Wikipedia, which would appear as text.
const fileNames = (
  'file image media datei bild fichier archivo imagen immagine bestand afbeelding plik grafika ficheiro imagem fil ' +
  'tiedosto kuva soubor fitxer dosya kép fájl файл изображение зображення ファイル 画像 文件 檔案 图像 파일 그림 ملف صورة קובץ'
).split(' ')
const categoryNames = (
  'category kategorie catégorie categoría categoria categorie kategoria luokka kategori kategória категория категорія ' +
  'カテゴリ 分类 分類 분류 تصنيف קטגוריה'
).split(' ')

/** Common names of the namespaces, and those in the language of the dump, if given. */
export const wikiNamespaces = (local: { file?: string; category?: string } = {}): WikiNamespaces => {
  const lower = (name: string | undefined) => (name === undefined ? [] : [name.toLowerCase()])
  return {
    file: new Set([...fileNames, ...lower(local.file)]),
    category: new Set([...categoryNames, ...lower(local.category)]),
  }
}

// Wikipedia's language codes that are not two or three letters.
const longCodes = new Set(
  (
    'simple be-x-old be-tarask bat-smg cbk-zam fiu-vro map-bms nds-nl roa-rup roa-tara zh-classical zh-min-nan zh-yue ' +
    'crh-latn'
  ).split(' '),
)
// Prefixes of three letters or fewer that are not languages.
const notLanguages = new Set(['wp', 'wt', 'doi', 'b', 'c', 'd', 'm', 'n', 'q', 's', 'v', 'mw', 'irc'])

export type LinkKind = 'text' | 'file' | 'nothing'

/** The kind of a link by its target; `piped` is whether the link has its own text. */
export const linkKind = (target: string, piped: boolean, namespaces: WikiNamespaces): LinkKind => {
  const colon = target.indexOf(':')
  if (colon <= 0) return 'text'
  const raw = target.slice(0, colon).trim()
  const prefix = raw.toLowerCase().replaceAll('_', ' ')
  if (namespaces.file.has(prefix)) return 'file'
  if (namespaces.category.has(prefix)) return 'nothing'
  if (piped || raw !== prefix) return 'text'
  const language = (/^[a-z]{2,3}$/.test(prefix) && !notLanguages.has(prefix)) || longCodes.has(prefix)
  return language && target.charCodeAt(colon + 1) !== 32 ? 'nothing' : 'text'
}

/** The text of a link with an empty label: its target without namespace, parentheses and comma part. */
export const pipeTrick = (target: string): string =>
  target
    .replace(/^:?[^:]{1,40}:/, '')
    .replace(/ \([^()]*\)$/, '')
    .replace(/, .*$/, '')

const imageOption =
  /^\s*(thumb|thumbnail|frame|framed|frameless|border|left|right|center|centre|none|upright([ =][\d.]*)?|\d*x?\d+ ?px|baseline|middle|top|bottom|sub|super|text-top|text-bottom|(alt|link|lang|page|class|thumb|start|thumbtime)=.*)\s*$/is

/** Whether the first part of a link after its target is an option of a picture, such as `thumb` or `250px`. */
export const hasImageOptions = (parts: readonly string[]): boolean => parts.length > 2 && imageOption.test(parts[1])

/** The caption among the parts of a file link, or an empty string. */
export const fileCaption = (parts: readonly string[]): string => {
  for (let index = parts.length - 1; index > 0; index--) if (!imageOption.test(parts[index])) return parts[index]
  return ''
}

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
