// MediaWiki XML dumps (export 0.3 to 0.11), one page per document. Pages are split without an XML parser: every `<` of
// a text is escaped in a dump, so each `</page>` ends a page.
import { z } from 'zod'
import { DataError } from '../../core/index.ts'
import { ByteReader, openBytes } from '../../files/index.ts'
import { decodeXml } from '../extract/entities.ts'
import { extractWikitext, type WikiNamespaces, wikiNamespaces } from '../extract/wikitext/index.ts'
import { defineSource, maximumBytes, type SourceRecord } from './source.ts'

const config = z.strictObject({
  mode: z
    .enum(['fast', 'faithful'])
    .default('fast')
    .describe('extraction mode: fast drops tables and quotation templates, faithful renders them as text'),
  namespaces: z.array(z.number().int()).default([0]).describe('namespaces to read; 0: articles'),
  redirects: z.enum(['drop', 'keep']).default('drop').describe('handling of redirect pages'),
  disambiguation: z.enum(['drop', 'keep']).default('drop').describe('handling of disambiguation pages'),
  captions: z.boolean().default(false).describe('captions of pictures as paragraphs'),
  title: z.boolean().default(true).describe('title of the page at the start of the text'),
  dropSections: z
    .array(z.string())
    .default([])
    .describe('headings of sections to drop, such as "References" or "External links"'),
  maxPageBytes: maximumBytes(64, 'maximum bytes per page; longer ones are rejected'),
})

type WikipediaConfig = z.output<typeof config>

const pageOpen = Buffer.from('<page>')
const pageClose = Buffer.from('</page>')
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

interface SiteInfo {
  language: string
  namespaces: WikiNamespaces
}

async function* open(
  path: string,
  config: WikipediaConfig,
  { signal }: { signal?: AbortSignal },
): AsyncGenerator<SourceRecord> {
  const reader = new ByteReader(openBytes({ path, signal }))
  const dropSections = new Set(config.dropSections.map((heading) => heading.toLowerCase()))
  try {
    const first = await reader.find(pageOpen, config.maxPageBytes)
    const head = reader.peek(Math.min(first < 0 ? reader.available : first, 1 << 20)).toString('utf8')
    if (first < 0) {
      reader.throwIfFailed()
      if (head.includes('<mediawiki')) return // a dump without pages
      throw new DataError(
        `Expected a MediaWiki XML dump, got ${head.trim() === '' ? 'an empty file' : 'a file without <page>'}. Check the path.`,
        path,
      )
    }
    const site = readSiteInfo(head)
    reader.take(first)
    for (;;) {
      signal?.throwIfAborted()
      const end = await reader.find(pageClose, config.maxPageBytes)
      const source = { path, offset: reader.offset }
      if (end < 0) {
        if (reader.ended) {
          // The file ends inside a page; the error of the stream, if any, is thrown below.
          if (reader.available > 0) yield { reason: 'broken-xml', source, detail: 'the file ends inside a page' }
          break
        }
        yield { reason: 'too-large', source, detail: `page of more than ${config.maxPageBytes} bytes` }
        reader.take(pageOpen.length)
        if (!(await nextPage(reader))) break
        continue
      }
      // A page inside a page: the first one is truncated, and reading continues at the second.
      const inner = reader.peek(end).lastIndexOf(pageOpen)
      if (inner > 0) {
        reader.take(inner)
        yield { reason: 'broken-xml', source, detail: 'another page begins before the end of this one' }
        continue
      }
      yield readPage(reader.take(end + pageClose.length), source, site, config, dropSections)
      if (!(await nextPage(reader))) break
    }
    reader.throwIfFailed()
  } finally {
    await reader.close()
  }
}

/** Moves to the next `<page>`; returns false at the end. */
const nextPage = async (reader: ByteReader): Promise<boolean> => {
  for (;;) {
    const at = reader.peek().indexOf(pageOpen)
    if (at >= 0) {
      reader.take(at)
      return true
    }
    reader.take(Math.max(0, reader.available - pageOpen.length + 1))
    if (!(await reader.fill())) {
      reader.take(reader.available)
      return false
    }
  }
}

const readSiteInfo = (head: string): SiteInfo => {
  const name = (key: number) => new RegExp(`<namespace key="${key}"[^>]*>([^<]+)<`).exec(head)?.[1]
  return {
    language: /<mediawiki[^>]*\sxml:lang="([^"]*)"/.exec(head)?.[1] ?? '',
    namespaces: wikiNamespaces({ file: name(6), category: name(14) }),
  }
}

/** Decoded content of the first element of a name; undefined when there is none or it is not closed. */
const element = (xml: string, name: string, from = 0): string | undefined => {
  const open = xml.indexOf(`<${name}`, from)
  if (open < 0) return undefined
  const start = xml.indexOf('>', open) + 1
  if (start === 0) return undefined
  if (xml.charCodeAt(start - 2) === 47) return ''
  const end = xml.indexOf(`</${name}>`, start)
  return end < 0 ? undefined : decodeXml(xml.slice(start, end))
}

const readPage = (
  bytes: Buffer,
  source: { path: string; offset: number },
  site: SiteInfo,
  config: WikipediaConfig,
  dropSections: ReadonlySet<string>,
): SourceRecord => {
  let xml: string
  try {
    xml = utf8.decode(bytes)
  } catch {
    return { reason: 'invalid-utf8', source }
  }
  const title = element(xml, 'title')
  if (title === undefined) return { reason: 'broken-xml', source, detail: 'no title' }
  const id = element(xml, 'id') ?? ''
  const namespace = Number(element(xml, 'ns') ?? 0)
  // A dump with full history has the last revision at the end.
  const revision = Math.max(0, xml.lastIndexOf('<revision>'))
  const text = element(xml, 'text', revision)
  if (text === undefined) return { reason: 'broken-xml', source, detail: `page "${title}" has no complete text` }
  if (config.redirects === 'drop' && isRedirect(xml, text)) return { reason: 'redirect', source, detail: title }
  if (!config.namespaces.includes(namespace)) return { reason: 'namespace', source, detail: `${namespace}` }
  if (config.disambiguation === 'drop' && isDisambiguation(title, text)) {
    return { reason: 'disambiguation', source, detail: title }
  }
  const model = element(xml, 'model', revision)
  if (model !== undefined && model !== 'wikitext') return { reason: 'not-wikitext', source, detail: model }
  const body = extractWikitext(text, {
    mode: config.mode,
    namespaces: site.namespaces,
    captions: config.captions,
    dropSections,
  })
  if (body === '') return { reason: 'no-text', source, detail: title }
  return {
    text: config.title ? `${title}\n\n${body}` : body,
    id: id === '' ? `${source.offset}` : id,
    metadata: {
      title,
      ...(id === '' ? {} : { pageId: Number(id) }),
      ...withNumber('revision', element(xml, 'id', revision)),
      namespace,
      ...(site.language === '' ? {} : { language: site.language }),
    },
    source,
  }
}

const withNumber = (key: string, value: string | undefined): Record<string, number> =>
  value === undefined || !/^\d+$/.test(value) ? {} : { [key]: Number(value) }

// Dumps older than 0.6 have no <redirect>, so the magic word is matched, in the languages of the largest Wikipedias.
const redirectWord =
  /^\s*#\s*(redirect|redirection|weiterleitung|redirecci[oó]n|rinvia|redirecionamento|doorverwijzing|patrz|перенаправление|перенаправлення|重定向|転送|넘겨주기|تحويل)\s*:?\s*\[\[/i

const isRedirect = (xml: string, text: string): boolean => {
  const redirect = xml.indexOf('<redirect ')
  return (redirect >= 0 && redirect < xml.indexOf('<revision>')) || redirectWord.test(text)
}

const disambiguationTemplate =
  /\{\{\s*(?:[\w -]{0,40}\bdisambig(?:uation)?(?: page| cleanup)?|disambig[\w-]*|dab|hndis|geodis|hospitaldis|schooldis|mathdab|numberdis|roaddis|shipindex|begriffsklärung|homonymie|desambiguaci[oó]n|disambigua|desambigua[cç][aã]o|doorverwijspagina|dp|ujednoznacznienie|неоднозначность|многозначность|曖昧さ回避|aimai|消歧義|消歧义|disambigpagina)\s*(?:\||\}\})/i

const isDisambiguation = (title: string, text: string): boolean =>
  title.endsWith('(disambiguation)') ||
  text.includes('__DISAMBIG__') ||
  disambiguationTemplate.test(text.slice(-20_000))

/** Wikipedia and every other MediaWiki. */
export const wikipedia = defineSource({
  type: 'wikipedia',
  config,
  summary: 'MediaWiki XML dumps (pages-articles)',
  extensions: ['.xml'],
  open,
})
