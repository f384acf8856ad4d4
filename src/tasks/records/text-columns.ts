// The text columns of tasks with one text or a pair of texts per record.
import { z } from 'zod'
import { ConfigError, show } from '../../core/index.ts'
import { type Checked, textIn } from './columns.ts'
import { allOf } from './read-records.ts'
import { rowFields } from './read-rows.ts'
import type { DataRow } from './row.ts'

/** Settings of tasks with one text or a pair of texts. */
export const textFields = {
  ...rowFields,
  text: z.string().default('text').describe('column with the text'),
  pair: z.string().optional().describe('column with the second text, for pairs of texts'),
}

/** A text or a pair of texts. */
export interface Texts {
  text: string
  /** The second text; undefined for single texts. */
  pair: string | undefined
}

interface TextSettings {
  text: string
  pair?: string
}

export const textColumns = ({ text, pair }: TextSettings): { [field: string]: string | undefined } => ({ text, pair })

/** Names of a second text, in any data set or beside a question. */
const pairNames =
  /^((text|sentence|sequence|question|input|s|q)[_ ]?(2|b|two)|pair|text[_ ]?pair|second[_ ]?text|hypothesis|premise)$/i
const questionPairNames = /^(contexts?|passages?|answer|sentence|document)$/i

/** The setting of a second text where it is not set, with the names of columns that it is probably for. */
export const unsetPair = ({ text, pair }: TextSettings): { [setting: string]: RegExp } => {
  if (pair !== undefined) return {}
  if (!/^(question|query)$/i.test(text)) return { pair: pairNames }
  return { pair: new RegExp(`${pairNames.source}|${questionPairNames.source}`, 'i') }
}

export const textsOf = (row: DataRow, { text, pair }: TextSettings): Checked<Texts> =>
  allOf<Texts>({
    text: textIn(row, text),
    pair: pair === undefined ? { value: undefined } : textIn(row, pair),
  })

/** The texts of an input to predict. */
export const textsFromInput = (fields: { [name: string]: unknown }, { pair }: TextSettings): Texts => {
  const text = (name: 'text' | 'pair'): string => {
    const value = fields[name]
    if (typeof value === 'string' && value.trim() !== '') return value
    throw new ConfigError(`Expected a text for \`${name}\`, got ${show(value)}.`)
  }
  return { text: text('text'), pair: pair === undefined && fields.pair === undefined ? undefined : text('pair') }
}
