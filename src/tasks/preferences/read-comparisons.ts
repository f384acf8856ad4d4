// Reads compared answers: as records with all answers to a prompt, or as pairs of a better and a worse one.

import { show } from '../../core/index.ts'
import { maxDepth, type Reply, repliesTo, systemTurn } from '../generative/conversations.ts'
import { turnOf } from '../generative/messages.ts'
import type { Turn } from '../generative/turns.ts'
import { fault, firstColumn, hasValue, numberIn, setColumns } from '../records/columns.ts'
import type { RecordSettings } from '../records/read-records.ts'
import { type DataRow, type Fields, isFields } from '../records/row.ts'
import type { ReadOptions, TaskData, TaskRecord } from '../task.ts'
import { readSifted, siftComparison, withoutContradictions } from './sift.ts'
import {
  alike,
  type ComparisonRecord,
  dialogueTurns,
  drop,
  isDialogue,
  keyOf,
  type MoreFields,
  otherFields,
  type PreferenceRecord,
  type PromptText,
  partDialogues,
  type ScoredAnswer,
  type Sifted,
  textOrTurns,
} from './texts.ts'

/** Columns of compared answers, and how their texts are read. */
interface ComparisonColumns {
  prompt: readonly string[]
  messages: readonly string[]
  chosen: string
  rejected: string
  margin: string
  answers: readonly string[]
  scores: string
  ranks: string
  tree: string
  texts: 'auto' | 'raw' | 'turns'
}

/** A prompt with its answers before they are checked. */
export interface Compared {
  prompt: PromptText
  answers: readonly ScoredAnswer[]
  margin?: number
}

interface ComparisonForm {
  fits(values: Fields, columns: ComparisonColumns): boolean
  comparisons(row: DataRow, columns: ComparisonColumns): Sifted<Compared>[]
}

const pair = (prompt: PromptText, [chosen, rejected]: readonly PromptText[], margin?: number): Compared => ({
  prompt,
  answers: [
    { completion: chosen, score: 1 },
    { completion: rejected, score: 0 },
  ],
  ...(margin === undefined ? {} : { margin }),
})

const marginOf = (row: DataRow, column: string): Sifted<number | undefined> =>
  hasValue(row.values, column) ? numberIn(row, column) : { value: undefined }

const dialogues: ComparisonForm = {
  fits: (values, { chosen, rejected }) => isDialogue(values[chosen]) && isDialogue(values[rejected]),
  comparisons(row, { chosen, rejected, margin: column }) {
    const [first, second] = [row.values[chosen], row.values[rejected]]
    if (!isDialogue(first) || !isDialogue(second))
      return [fault('no-text', `Expected dialogues that begin with "Human:" in columns "${chosen}" and "${rejected}".`)]
    const margin = marginOf(row, column)
    if (!('value' in margin)) return [margin]
    const parted = partDialogues([dialogueTurns(first), dialogueTurns(second)])
    return ['value' in parted ? { value: pair(parted.value.prompt, parted.value.answers, margin.value) } : parted]
  },
}

/** The prompt of a row: its column, else its messages; undefined where the answers are whole dialogues. */
const promptIn = ({ values }: DataRow, { prompt, messages }: ComparisonColumns): Sifted<PromptText | undefined> => {
  const column = firstColumn(values, prompt) ?? messages.find((name) => Array.isArray(values[name]))
  if (column === undefined) return { value: undefined }
  const found = textOrTurns(values[column], column)
  const system = systemTurn(values)
  if ('fault' in found || typeof found.value === 'string' || system.length === 0) return found
  return { value: [...system, ...found.value] }
}

/** Whether turns are one answer, and not a dialogue that ends with it. */
const isAnswer = (text: PromptText) => typeof text === 'string' || (text.length === 1 && text[0].role === 'assistant')

const pairs: ComparisonForm = {
  // A pair of which one answer is null is a broken pair, and no other form.
  fits: (values, { chosen, rejected }) =>
    chosen in values && rejected in values && (hasValue(values, chosen) || hasValue(values, rejected)),
  comparisons(row, columns) {
    const prompt = promptIn(row, columns)
    const chosen = textOrTurns(row.values[columns.chosen], columns.chosen)
    const rejected = textOrTurns(row.values[columns.rejected], columns.rejected)
    const margin = marginOf(row, columns.margin)
    for (const one of [prompt, chosen, rejected, margin]) if (!('value' in one)) return [one]
    if (!('value' in prompt && 'value' in chosen && 'value' in rejected && 'value' in margin)) return []
    const texts = [chosen.value, rejected.value]
    if (texts.every(isAnswer)) {
      if (prompt.value === undefined)
        return [fault('no-text', `Expected a prompt in column ${columns.prompt.join(' or ')}, got none.`)]
      const same = alike(prompt.value, texts, columns.texts !== 'turns')
      return [{ value: pair(same.prompt, same.answers, margin.value) }]
    }
    const [first, second] = texts.map((text) => (typeof text === 'string' ? [] : text))
    const parted = partDialogues([first, second])
    return ['value' in parted ? { value: pair(parted.value.prompt, parted.value.answers, margin.value) } : parted]
  },
}

const textNames = ['text', 'response', 'answer', 'completion', 'content', 'output']
const scoreNames = ['score', 'overall_score', 'rating', 'reward']

/** The text and the score of an answer in a list; a rank counts as its negative. */
const listed = (one: unknown, column: string): Sifted<{ text: PromptText; score: number | undefined }> => {
  if (!isFields(one)) {
    const text = textOrTurns(one, column)
    return 'fault' in text ? text : { value: { text: text.value, score: undefined } }
  }
  const named = firstColumn(one, textNames)
  const text = textOrTurns(named === undefined || one.role !== undefined ? one : one[named], column)
  if ('fault' in text) return text
  const scored = firstColumn(one, scoreNames)
  const score = scored === undefined ? Number(one.rank) * -1 : Number(one[scored])
  return { value: { text: text.value, score: Number.isFinite(score) ? score : undefined } }
}

/** The scores in a column of their own, one for each answer. */
const scoresIn = ({ values }: DataRow, { scores, ranks }: ComparisonColumns): number[] | undefined => {
  const given = Array.isArray(values[scores]) ? values[scores] : values[ranks]
  if (!Array.isArray(given)) return undefined
  const sign = Array.isArray(values[scores]) ? 1 : -1
  return given.map((value: unknown) => (value === null || value === '' ? Number.NaN : sign * Number(value)))
}

const scores: ComparisonForm = {
  fits: (values, { answers, scores: column, ranks }) => {
    const list = answers.map((name) => values[name]).find(Array.isArray)
    return list !== undefined && (list.some(isFields) || [column, ranks].some((name) => Array.isArray(values[name])))
  },
  comparisons(row, columns) {
    const column = columns.answers.find((name) => Array.isArray(row.values[name])) ?? columns.answers[0]
    const list: unknown = row.values[column]
    if (!Array.isArray(list)) return [fault('no-text', `Expected a list in column "${column}", got ${show(list)}.`)]
    const prompt = promptIn(row, columns)
    if (!('value' in prompt)) return [prompt]
    if (prompt.value === undefined)
      return [fault('no-text', `Expected a prompt in column ${columns.prompt.join(' or ')}, got none.`)]
    const apart = scoresIn(row, columns)
    const texts: PromptText[] = []
    const found: number[] = []
    for (const [i, one] of (list as unknown[]).entries()) {
      const answer = listed(one, column)
      if (!('value' in answer)) return [answer]
      const score = apart === undefined ? answer.value.score : apart[i]
      if (score === undefined || !Number.isFinite(score))
        return [fault('no-score', `Expected a score or a rank for answer ${i} in column "${column}", got none.`)]
      texts.push(answer.value.text)
      found.push(score)
    }
    if (apart !== undefined && apart.length !== list.length)
      return [fault('no-score', `Expected ${list.length} scores, one for each answer, got ${apart.length}.`)]
    const same = alike(prompt.value, texts, columns.texts !== 'turns')
    return [
      {
        value: {
          prompt: same.prompt,
          answers: same.answers.map((completion, i) => ({ completion, score: found[i] })),
        },
      },
    ]
  },
}

/** Replies of the assistant to the same message, by their ranks. @source Köpf et al. 2023, arXiv:2304.07327 */
const tree: ComparisonForm = {
  fits: (values, { tree: column }) => isFields(values[column]) && 'replies' in values[column],
  comparisons({ values }, { tree: column }) {
    const root = values[column]
    if (!isFields(root)) return [fault('no-object', `Expected a message in column "${column}", got ${show(root)}.`)]
    const found: Sifted<Compared>[] = []
    const walk = (message: Reply, before: readonly Turn[]): void => {
      const turn = turnOf(message.role, message.text ?? message.content)
      if ('fault' in turn || before.length > maxDepth) {
        found.push('fault' in turn ? turn : fault('too-deep', `Expected at most ${maxDepth} messages in a row.`))
        return
      }
      const turns = [...before, turn.value]
      const replies = repliesTo(message)
      const ranked = replies.flatMap(({ role, rank, text, content }): ScoredAnswer[] => {
        const answer = turnOf(role, text ?? content)
        const counts = 'value' in answer && answer.value.role === 'assistant' && typeof rank === 'number'
        return counts ? [{ completion: [answer.value], score: -rank }] : []
      })
      if (ranked.length > 1) found.push({ value: { prompt: turns, answers: ranked } })
      for (const reply of replies) walk(reply, turns)
    }
    walk(root, [])
    return found.length > 0 ? found : [drop('no-comparison', 'Expected a message with two ranked replies, got none.')]
  },
}

/** Forms of compared answers by name, in the order in which they are tried. */
const comparisonForms = { tree, scores, dialogues, pairs } as const satisfies Record<string, ComparisonForm>
type ComparisonFormName = keyof typeof comparisonForms
export const comparisonFormNames = Object.keys(comparisonForms) as [ComparisonFormName, ...ComparisonFormName[]]

export const comparisonFormOf = (values: Fields, columns: ComparisonColumns): ComparisonFormName | undefined =>
  comparisonFormNames.find((name) => comparisonForms[name].fits(values, columns))

/** Settings of `readComparisons`. */
export interface ComparisonSettings extends RecordSettings, ComparisonColumns {
  /** The form of the rows (default: by their columns). */
  form: 'auto' | ComparisonFormName
  maxSkipped: number
}

/** Settings of `readPreferences`. */
export interface PreferenceSettings extends ComparisonSettings {
  /** Pairs of a list of answers: each two of different scores, or the best with the worst. */
  pairs: 'all' | 'best-and-worst'
}

const columnsOf = (settings: ComparisonColumns): string[] => {
  const { prompt, messages, answers, chosen, rejected, margin, scores, ranks, tree } = settings
  return [...prompt, ...messages, ...answers, chosen, rejected, margin, scores, ranks, tree, 'system']
}

/** The comparisons of a row, before they are sifted. */
export const comparisonsIn = (row: DataRow, settings: ComparisonSettings): Sifted<Compared>[] => {
  const form = settings.form === 'auto' ? comparisonFormOf(row.values, settings) : settings.form
  if (form !== undefined) return comparisonForms[form].comparisons(row, settings)
  const { prompt, chosen, rejected, answers, tree } = settings
  return [
    fault(
      'no-comparison',
      `Expected columns ${chosen} and ${rejected}, ${prompt[0]} with ${answers.join(' or ')}, or a message tree in ${tree}, got ${Object.keys(row.values).slice(0, 20).join(', ')}. ${setColumns('columns', ['chosen', 'rejected'])}`,
    ),
  ]
}

/** The comparisons of a row that something can be learned from. */
export const siftedComparisons = (row: DataRow, settings: ComparisonSettings): Sifted<Compared>[] =>
  comparisonsIn(row, settings).map((one) => ('value' in one ? siftComparison(one.value) : one))

/**
 * Answers to prompts that were compared, in any usual form: pairs of texts or messages, whole dialogues, lists with scores or ranks,
 * and message trees. The report counts what was left out, by reason.
 * @throws DataError with file and line for broken records unless `onFault` is skip, and where `maxSkipped` is exceeded
 */
export const readComparisons = async (
  path: string,
  settings: ComparisonSettings,
  { signal }: Pick<ReadOptions, 'signal'> = {},
): Promise<TaskData<ComparisonRecord>> => {
  const known = new Set(columnsOf(settings))
  const data = await readSifted(
    path,
    settings,
    {
      part: 'columns',
      sifted: (row) => siftedComparisons(row, settings),
      more: ({ values }) => ({ fields: otherFields(values, known) }),
    },
    signal,
  )
  return withoutContradictions(data, (record) => record, settings.maxSkipped, path)
}

/** The pairs of a comparison, the better answer first. */
export const pairsOf = (
  { answers, margin, prompt, fields, id, file, line }: ComparisonRecord,
  which: PreferenceSettings['pairs'] = 'all',
): PreferenceRecord[] => {
  const rest: TaskRecord & MoreFields = { id, file, line, fields }
  const sorted = [...answers].sort((a, b) => b.score - a.score)
  const two =
    which === 'all'
      ? sorted.flatMap((better, i) => sorted.slice(i + 1).map((worse) => ({ better, worse })))
      : [{ better: sorted[0], worse: sorted[sorted.length - 1] }]
  const ordered = two.filter(({ better, worse }) => better.score > worse.score)
  return ordered.map(({ better, worse }, i) => ({
    ...rest,
    ...(ordered.length === 1 ? { id } : { id: `${id}.${i}`, group: keyOf(prompt) }),
    prompt,
    chosen: better.completion,
    rejected: worse.completion,
    ...(margin === undefined ? {} : { margin }),
  }))
}

/** Pairs of a better and a worse answer to a prompt, from every form that `readComparisons` reads. @throws DataError as it does */
export const readPreferences = async (
  path: string,
  settings: PreferenceSettings,
  options: Pick<ReadOptions, 'signal'> = {},
): Promise<TaskData<PreferenceRecord>> => {
  const { records, report } = await readComparisons(path, settings, options)
  const pairs = records.flatMap((record) => pairsOf(record, settings.pairs))
  return { records: pairs, report: { ...report, records: pairs.length } }
}
