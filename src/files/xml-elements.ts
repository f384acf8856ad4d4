// Elements of an XML document by name, with their text and first line.
import { Parser } from 'htmlparser2'
import { DataError } from '../core/index.ts'

/** An XML element with one of the requested names. */
export interface XmlElement {
  name: string
  /** Text of the element and its descendants, with entities decoded. */
  text: string
  /** Line of the start tag, 1-based. */
  line: number
  /** Nested elements with one of the requested names. */
  children: XmlElement[]
}

const maxDepth = 200

/**
 * The elements with one of the names in `wanted`, as a tree without the others.
 * @throws DataError for tags that do not match
 */
export const xmlElements = (text: string, wanted: ReadonlySet<string>, file: string): XmlElement[] => {
  const top: XmlElement[] = []
  const open: (XmlElement | string)[] = []
  let at = 0
  let line = 1
  const lineAt = (place: number) => {
    for (; at < place; at++) if (text.charCodeAt(at) === 10) line++
    return line
  }
  const parser = new Parser(
    {
      onopentag(name) {
        if (open.length >= maxDepth)
          throw new DataError(
            `Expected at most ${maxDepth} nested elements, got more.`,
            file,
            lineAt(parser.startIndex),
          )
        if (!wanted.has(name)) {
          open.push(name)
          return
        }
        const element = { name, text: '', line: lineAt(parser.startIndex), children: [] }
        const parent = open.findLast((one) => typeof one !== 'string')
        if (typeof parent === 'object') parent.children.push(element)
        else top.push(element)
        open.push(element)
      },
      ontext(part) {
        for (const one of open) if (typeof one !== 'string') one.text += part
      },
      onclosetag(name, implied) {
        const closed = open.pop()
        const opened = typeof closed === 'string' ? closed : closed?.name
        // The parser also reports the end of an empty element such as <a/> as implied.
        const isEmptyTag = text.startsWith('/>', parser.endIndex - 1)
        if ((implied && !isEmptyTag) || opened !== name)
          throw new DataError(
            `Expected </${opened ?? name}>, got ${implied ? 'the end of the file or of another element' : `</${name}>`}. The XML is damaged.`,
            file,
            lineAt(parser.startIndex),
          )
      },
      onerror(error) {
        throw new DataError(`Expected XML, got ${error.message}. Check the file.`, file)
      },
    },
    { xmlMode: true, decodeEntities: true },
  )
  parser.write(text)
  parser.end()
  return top
}
