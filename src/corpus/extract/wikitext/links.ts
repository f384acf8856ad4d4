// What a link shows, and which links show nothing: files, categories, other languages. Knows namespaces, not syntax.

export interface WikiNamespaces {
  /** Names of the File namespace, lower case, English ones included. */
  file: ReadonlySet<string>
  /** Names of the Category namespace, lower case, English ones included. */
  category: ReadonlySet<string>
}

// Authors who translate a page leave links with the namespace names of the other Wikipedia, which show as text otherwise.
const fileNames =
  'file image media datei bild fichier archivo imagen immagine bestand afbeelding plik grafika ficheiro imagem файл изображение зображення ファイル 画像 文件 檔案 图像 파일 그림 fil tiedosto kuva soubor fitxer dosya kép fájl ملف صورة קובץ'.split(
    ' ',
  )
const categoryNames =
  'category kategorie catégorie categoría categoria categorie kategoria категория категорія カテゴリ 分类 分類 분류 kategori luokka kategória تصنيف קטגוריה'.split(
    ' ',
  )

/** Namespaces with their names in the language of the dump, if given. */
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

/** What kind of link a target is; `piped` tells whether the link has a text of its own. */
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

/** The text of a link whose pipe has nothing after it: no namespace, no bracketed or comma part. */
export const pipeTrick = (target: string): string =>
  target
    .replace(/^:?[^:]{1,40}:/, '')
    .replace(/ \([^()]*\)$/, '')
    .replace(/, .*$/, '')

const imageOption =
  /^\s*(thumb|thumbnail|frame|framed|frameless|border|left|right|center|centre|none|upright([ =][\d.]*)?|\d*x?\d+ ?px|baseline|middle|top|bottom|sub|super|text-top|text-bottom|(alt|link|lang|page|class|thumb|start|thumbtime)=.*)\s*$/is

/** Whether the parts of a link after its target begin with an option of a picture, such as `thumb` or `250px`. */
export const hasImageOptions = (parts: readonly string[]): boolean => parts.length > 2 && imageOption.test(parts[1])

/** The caption among the parts of a file link, or an empty string. */
export const fileCaption = (parts: readonly string[]): string => {
  for (let index = parts.length - 1; index > 0; index--) if (!imageOption.test(parts[index])) return parts[index]
  return ''
}
