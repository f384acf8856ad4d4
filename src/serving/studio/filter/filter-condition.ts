// A condition that a page sends, before a database sees it: that it is one expression, and the dotted names of settings.
import { badRequest } from '../../http/errors.ts'
import { quoteName } from '../../sql/sandbox.ts'

const maxLength = 4000

/** Parts of a condition: quoted text and names, which stay as they are, and what is between them. */
const parts = /'(?:[^']|'')*'|"(?:[^"]|"")*"|[^'"]+|['"]/g

const fault = (message: string) => badRequest(message, 'where', 'invalid_filter')

/**
 * Checks that a text can be nothing but the inside of a pair of parentheses: one condition, however it is nested.
 * @throws ApiError that says what is wrong
 */
export const expectOneCondition = (text: string): void => {
  if (text.length > maxLength)
    throw fault(`Expected a condition of at most ${maxLength} characters, got ${text.length}.`)
  let depth = 0
  let before = ''
  for (const [part] of text.matchAll(parts)) {
    if (part === "'" || part === '"') throw fault(`The quote ${part} is not closed. Write text as 'text'.`)
    if (part[0] === "'" || part[0] === '"') {
      // Such as E'…', in which a backslash may keep the quote from closing.
      if (part[0] === "'" && /[\w$\u0080-\uffff]/.test(before))
        throw fault(`Expected an operator or a space before ${part.slice(0, 20)}. Write text as 'text'.`)
      before = ''
      continue
    }
    before = part.slice(-1)
    if (/;|--|\/\*|\$|\0/.test(part)) throw fault('Expected one condition, without `;`, `$` or comments.')
    for (const [bracket] of part.matchAll(/[()]/g)) {
      depth += bracket === '(' ? 1 : -1
      if (depth < 0) throw fault('A closing parenthesis has no opening one.')
    }
  }
  if (depth > 0) throw fault('A parenthesis is not closed.')
}

/** Quotes the dotted names of settings, such as `batch.sequences`, which SQL would take for a table and its column. */
export const quoteSettings = (text: string, names: ReadonlySet<string>): string =>
  text.replaceAll(parts, (part) =>
    part[0] === "'" || part[0] === '"'
      ? part
      : part.replaceAll(/[a-z_]\w*(?:\.[a-z_]\w*)+/gi, (name) =>
          names.has(name.toLowerCase()) ? quoteName(name) : name,
        ),
  )
