// Questions with answers in their context: SQuAD's JSON, or one row per question. Offsets of answers are converted from code points, as
// Python counts, to UTF-16 units, as JavaScript counts.
// @source Rajpurkar et al. 2016, arXiv:1606.05250; Rajpurkar et al. 2018, arXiv:1806.03822
import { show } from '../../core/index.ts'
import { type Checked, fault } from './columns.ts'
import { type DataRow, type Fields, isFields } from './row.ts'

/** A reference answer and its offset in the context. */
export interface ReferenceAnswer {
  text: string
  /** UTF-16 offset; undefined where the context has other text there. */
  start: number | undefined
  /** The offset of the nearest occurrence of the text, if there is one. */
  nearest?: number
}

export interface QuestionFields {
  question: string
  context: string
  /** Empty: the question has no answer; undefined: the answer is not known. */
  answers: readonly ReferenceAnswer[] | undefined
}

/** The answer at the given offset, in code points or in UTF-16 units, without white space around it. */
const placed = (context: string, text: string, start: number): ReferenceAnswer => {
  const trimmed = text.trim()
  const shift = text.length - text.trimStart().length
  for (const from of [utf16Place(context, start), start]) {
    if (from === undefined) continue
    if (context.startsWith(text, from)) return { text, start: from + shift }
    // The offset may be that of the text without its leading spaces.
    if (context.startsWith(trimmed, from)) return { text, start: from }
  }
  return { text, start: undefined, nearest: nearestPlace(context, trimmed, start) }
}

const nearestPlace = (context: string, text: string, start: number): number | undefined => {
  if (text === '') return undefined
  const after = context.indexOf(text, start)
  const before = context.lastIndexOf(text, start)
  if (after < 0 || before < 0) return after < 0 && before < 0 ? undefined : Math.max(after, before)
  return after - start < start - before ? after : before
}

/** UTF-16 offset of a code point. */
const utf16Place = (text: string, codePoints: number): number => {
  if (!/[\ud800-\udbff]/.test(text)) return codePoints
  let at = 0
  for (let i = 0; i < codePoints && at < text.length; i++) at += text.codePointAt(at)! > 0xffff ? 2 : 1
  return at
}

const answersOf = (context: string, value: unknown): Checked<ReferenceAnswer[]> => {
  // The format of Hugging Face: a list of texts and a list of offsets.
  const list = isFields(value)
    ? Array.isArray(value.text)
      ? value.text.map((text, i) => ({ text, answer_start: (value.answer_start as unknown[] | undefined)?.[i] }))
      : [value]
    : value
  if (!Array.isArray(list)) return fault('no-answers', `Expected a list for \`answers\`, got ${show(value)}.`)
  const answers: ReferenceAnswer[] = []
  for (const one of list) {
    const { text, answer_start: start } = isFields(one) ? one : { text: undefined, answer_start: undefined }
    const place = typeof start === 'bigint' ? Number(start) : start
    if (typeof text !== 'string' || text.trim() === '' || !Number.isInteger(place) || (place as number) < 0)
      return fault('no-answers', `Expected \`text\` and \`answer_start\` in \`answers\`, got ${show(one)}.`)
    answers.push(placed(context, text, place as number))
  }
  return { value: answers }
}

const questionOf = (
  question: unknown,
  context: unknown,
  answers: unknown,
  labelled: boolean,
): Checked<QuestionFields> => {
  for (const [name, text] of Object.entries({ question, context }))
    if (typeof text !== 'string' || text.trim() === '')
      return fault('empty-text', `Expected text for \`${name}\`, got ${show(text)}.`)
  if (!labelled) return { value: { question: question as string, context: context as string, answers: undefined } }
  const known = answersOf(context as string, answers)
  return 'fault' in known
    ? known
    : { value: { question: question as string, context: context as string, answers: known.value } }
}

export interface FoundQuestion {
  id: string | undefined
  found: Checked<QuestionFields>
}

export function* squadQuestions(content: unknown, labelled: boolean): Generator<FoundQuestion, void, undefined> {
  const articles = isFields(content) && Array.isArray(content.data) ? content.data : []
  for (const article of articles) {
    const paragraphs = isFields(article) && Array.isArray(article.paragraphs) ? article.paragraphs : []
    for (const paragraph of paragraphs) {
      const { context, qas } = isFields(paragraph) ? paragraph : { context: undefined, qas: undefined }
      if (!Array.isArray(qas)) {
        yield { id: undefined, found: fault('no-questions', `Expected a list for \`qas\`, got ${show(qas)}.`) }
        continue
      }
      for (const qa of qas) {
        const { id, question, answers, is_impossible: none } = isFields(qa) ? qa : ({} as Fields)
        const name = typeof id === 'string' || typeof id === 'number' ? String(id) : undefined
        yield { id: name, found: questionOf(question, context, none === true ? [] : answers, labelled) }
      }
    }
  }
}

export const isSquad = (content: unknown): boolean =>
  isFields(content) &&
  Array.isArray(content.data) &&
  content.data.length > 0 &&
  content.data.every((article) => isFields(article) && Array.isArray(article.paragraphs))

export interface QuestionColumns {
  question: string
  context: string
  answers: string
}

export const rowQuestion = (
  { values }: DataRow,
  columns: QuestionColumns,
  labelled: boolean,
): Checked<QuestionFields> =>
  questionOf(values[columns.question], values[columns.context], values[columns.answers], labelled)
