// Jinja templates over the columns of a row, as in the task files of lm-eval. A column that a row lacks is an error.
import { Environment, Interpreter, parse, tokenize } from '@huggingface/jinja'
import { ConfigError, DataError, didYouMean } from '../../core/index.ts'
import type { Fields } from '../records/row.ts'

/** A row with its place in a file. */
export interface TemplateRow {
  values: Fields
  file: string
  line: number | undefined
}

/** A parsed template. */
export interface Template {
  /** The text for a row. @throws DataError for a column that the row lacks, and for what the template cannot do with its values */
  text(row: TemplateRow): string
  /** The list of texts that the template writes as JSON. @throws DataError for another text */
  list(row: TemplateRow): string[]
}

interface Node {
  type: string
  [field: string]: unknown
}

const isNode = (value: unknown): value is Node => typeof (value as Node | null)?.type === 'string'

/** Names that the template reads and does not set itself. */
const columnsOf = (program: Node): Set<string> => {
  const [read, own] = [new Set<string>(), new Set<string>(['true', 'false', 'none', 'True', 'False', 'None', 'loop'])]
  const walk = (node: unknown, filter = false): void => {
    if (Array.isArray(node)) for (const each of node) walk(each)
    if (!isNode(node)) return
    if (node.type === 'Identifier' && !filter) read.add(String(node.value))
    for (const [field, child] of Object.entries(node)) {
      // The name of a member (`choices.text`), of a filter and of a keyword argument is no column.
      const isName =
        (node.type === 'MemberExpression' && field === 'property' && node.computed === false) ||
        (node.type === 'KeywordArgumentExpression' && field === 'key') ||
        (node.type === 'TestExpression' && field === 'test')
      if (isName) continue
      if ((node.type === 'For' && field === 'loopvar') || (node.type === 'Set' && field === 'assignee')) {
        for (const each of (isNode(child) && Array.isArray(child.value) ? child.value : [child]) as unknown[])
          if (isNode(each)) own.add(String(each.value))
        continue
      }
      const isFilter = field === 'filter' && isNode(child)
      // The filter itself is a name, or a call with arguments.
      if (isFilter && child.type === 'CallExpression') walk(child.args)
      else walk(child, isFilter)
    }
  }
  walk(program)
  return new Set([...read].filter((name) => !own.has(name)))
}

/** Parses a template. @param where its place in the task file, for errors @throws ConfigError for a template that cannot be parsed */
export const compileTemplate = (source: string, where: string): Template => {
  let program: ReturnType<typeof parse>
  try {
    program = parse(tokenize(source))
  } catch (error) {
    throw new ConfigError(
      `Expected a Jinja template for \`${where}\`, got ${JSON.stringify(source)}: ${message(error)}.`,
    )
  }
  // The classes of the parser's nodes have a type and fields, which is all that is read here.
  const columns = columnsOf(program as unknown as Node)
  const text = ({ values, file, line }: TemplateRow): string => {
    for (const name of columns)
      if (!Object.hasOwn(values, name))
        throw new DataError(
          `\`${where}\` needs the column ${name}, which the row lacks. It has ${Object.keys(values).join(', ')}.${didYouMean(name, Object.keys(values))}`,
          file,
          line,
        )
    try {
      const environment = new Environment()
      for (const [name, value] of Object.entries({ true: true, false: false, none: null, ...values }))
        environment.set(name, value)
      const written = (new Interpreter(environment).run(program) as { value: string }).value
      // The parser drops one line break at the end, which lm-eval keeps.
      return source.endsWith('\n') ? `${written}\n` : written
    } catch (error) {
      throw new DataError(`Cannot write \`${where}\` for the row: ${message(error)}. Check the template.`, file, line)
    }
  }
  return {
    text,
    list(row) {
      const written = text(row)
      let list: unknown
      try {
        list = JSON.parse(written)
      } catch {
        list = undefined
      }
      if (Array.isArray(list) && list.every((item) => typeof item === 'string' || typeof item === 'number'))
        return list.map(String)
      throw new DataError(
        `Expected a list of texts as JSON for \`${where}\`, got ${JSON.stringify(written.slice(0, 200))}. Write it as {{ column | tojson }}.`,
        row.file,
        row.line,
      )
    },
  }
}

const message = (error: unknown): string => String((error as Error).message ?? error).replace(/\.$/, '')

/** A function that writes a list: of one template for each item, or of a template that writes JSON. */
export const compileList = (source: string | readonly string[], where: string): ((row: TemplateRow) => string[]) => {
  if (typeof source === 'string') return compileTemplate(source, where).list
  const items = source.map((item, i) => compileTemplate(item, `${where}[${i}]`))
  return (row) => items.map(({ text }) => text(row))
}
