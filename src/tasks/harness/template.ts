// Jinja templates over the columns of a row, as in the task files of lm-eval. A column that a row lacks is an error.
import { ConfigError, DataError, didYouMean } from '../../core/index.ts'
import { type Program, parseTemplate, runTemplate } from '../../tokenizers/index.ts'
import type { DataRow } from '../records/row.ts'

export type TemplateRow = Pick<DataRow, 'values' | 'file' | 'line'>

export interface Template {
  /** The text for a row. @throws DataError for a column that the row lacks, and for what the template cannot do with its values */
  text(row: TemplateRow): string
  /** The list of texts that the template writes as JSON. @throws DataError for another text */
  list(row: TemplateRow): string[]
}

/** Parses a template. @param where its place in the task file, for errors @throws ConfigError for a template that cannot be parsed */
export const compileTemplate = (source: string, where: string): Template => {
  let program: Program
  try {
    // lm-eval keeps all white space.
    program = parseTemplate(source, { trims: false })
  } catch (error) {
    throw new ConfigError(
      `Expected a Jinja template for \`${where}\`, got ${JSON.stringify(source)}: ${message(error)}.`,
    )
  }
  const text = ({ values, file, line }: TemplateRow): string => {
    const missing = (name: string): never => {
      throw new DataError(
        `\`${where}\` needs the column ${name}, which the row lacks. It has ${Object.keys(values).join(', ')}.${didYouMean(name, Object.keys(values))}`,
        file,
        line,
      )
    }
    try {
      return runTemplate(program, values, {}, missing).text
    } catch (error) {
      if (error instanceof DataError) throw error
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
