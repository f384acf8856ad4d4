// Answers of one rollout, a range of rows at a time, its groups without variance, and one answer token by token; and validation records of
// a run that learned from preferences, with their margins.
import { join } from 'node:path'
import {
  type RolloutOutline,
  type RolloutRow,
  readRolloutOutline,
  readRolloutRange,
  rolloutFile,
} from '../../../alignment/index.ts'
import { DataError, TunesmithError } from '../../../core/index.ts'
import { TextAssembler } from '../../../generation/index.ts'
import { loadRolloutTokenizer, type PreferenceMargin, readPreferenceMargins } from '../../../runs/index.ts'
import type { Tokenizer } from '../../../tokenizers/index.ts'
import { modelFiles, runFiles } from '../../../tracking/index.ts'
import { finiteOrNull, listedText, spreadOf } from '../shown-values.ts'
import type {
  AnswerToken,
  EqualGroup,
  PreferenceOrder,
  PreferencePage,
  PreferenceRow,
  RolloutAnswer,
  RolloutAnswerRow,
  RolloutPage,
} from '../types/alignment-types.ts'
import { Recent } from './recent.ts'

const maxGroups = 500
const maxTokens = 4000

const outlines = new Recent<RolloutOutline[]>(4)
const tokenizers = new Recent<Tokenizer>(2)

const answerRow = (row: RolloutRow, at: number): RolloutAnswerRow => ({
  row: at,
  ...{ step: row.step, group: row.group, member: row.member, id: row.id },
  prompt: listedText(row.prompt),
  completion: listedText(row.completion),
  reference: row.reference === null ? null : listedText(row.reference),
  tokens: row.completionIds.length,
  ...{ finishReason: row.finishReason, trained: row.trained },
  reward: finiteOrNull(row.reward),
  rewards: Object.fromEntries(Object.entries(row.rewards).map(([name, value]) => [name, finiteOrNull(value)])),
  advantage: finiteOrNull(row.advantage),
  kl: finiteOrNull(row.kl),
})

/** Rows of one group are neighbours, as they are written. */
const groupsOf = (outline: readonly RolloutOutline[]): { from: number; to: number; rewards: number[] }[] => {
  const groups: { group: number; from: number; to: number; rewards: number[] }[] = []
  outline.forEach(({ group, reward }, i) => {
    let last = groups.at(-1)
    if (last?.group !== group) groups.push((last = { group, from: i, to: i, rewards: [] }))
    last.to = i + 1
    if (reward !== null) last.rewards.push(reward)
  })
  return groups
}

/** Equality is exact, as in `hasVariance`; a group of one answer has nothing to compare with. */
const isEqual = ({ from, to, rewards }: { from: number; to: number; rewards: number[] }): boolean =>
  to - from > 1 && rewards.every((reward) => reward === rewards[0])

/** File of a rollout. */
export const rolloutPath = (folder: string, rollout: number): string =>
  join(folder, runFiles.rollouts, rolloutFile(rollout))

/** A range of the answers, and what holds for all of them. */
export const rolloutPage = async ({
  folder,
  rollout,
  from,
  count,
}: {
  folder: string
  rollout: number
  from: number
  count: number
}): Promise<RolloutPage> => {
  const path = rolloutPath(folder, rollout)
  const outline = await outlines.of('outline', [path], () => readRolloutOutline(path))
  const rows = await readRolloutRange(path, from, from + count)
  const groups = groupsOf(outline)
  const equal = groups.filter(isEqual)
  return {
    rollout,
    step: outline[0]?.step ?? null,
    total: outline.length,
    from,
    rows: rows.map((row, i) => answerRow(row, from + i)),
    groups: groups.length,
    equalGroups: equal.slice(0, maxGroups).map((group): EqualGroup => {
      const { from: first, to, rewards } = group
      return { group: outline[first].group, from: first, to, reward: rewards[0] ?? null }
    }),
    equalCount: equal.length,
    untrained: outline.filter(({ trained }) => !trained).length,
    reward: spreadOf(outline.map(({ reward }) => reward)),
    kl: spreadOf(outline.map(({ kl }) => kl)).mean,
  }
}

const textsOf = (tokenizer: Tokenizer | undefined, ids: readonly number[]): string[] => {
  if (tokenizer === undefined) return ids.map(() => '')
  const assembler = new TextAssembler(tokenizer, [])
  const texts = ids.map((id) => assembler.push(id))
  if (texts.length > 0) texts[texts.length - 1] += assembler.finish()
  return texts
}

/** One answer with its tokens. */
export const rolloutAnswer = async ({
  folder,
  rollout,
  row,
}: {
  folder: string
  rollout: number
  row: number
}): Promise<RolloutAnswer> => {
  const [found] = await readRolloutRange(rolloutPath(folder, rollout), row, row + 1)
  if (found === undefined) throw new DataError(`Expected an answer in row ${row} of rollout ${rollout}, found fewer.`)
  let note: string | null = null
  const tokenizer = await tokenizers
    .of(folder, [join(folder, runFiles.recipe)], () => loadRolloutTokenizer(folder))
    .catch((error: unknown) => {
      if (!(error instanceof TunesmithError)) throw error
      note = `Tokens are shown by number: ${error.message}`
      return undefined
    })
  const ids = found.completionIds.slice(0, maxTokens)
  const texts = textsOf(tokenizer, ids)
  const tokens = ids.map((id, t): AnswerToken => {
    const logProb = finiteOrNull(found.logProbs[t])
    const reference = finiteOrNull(found.referenceLogProbs[t])
    return {
      id,
      text: texts[t],
      chosen: found.mask[t] !== 0,
      logProb,
      ratio: logProb === null || reference === null ? null : logProb - reference,
    }
  })
  return { ...answerRow(found, row), answerTokens: tokens, note }
}

const recent = new Recent<PreferenceMargin[]>(3)

const margin = ({ margin: value }: PreferenceMargin) => value ?? 0

/** Of displaced records, those whose preferred answer lost most come first. */
const loss = ({ answers: [preferred] }: PreferenceMargin) => preferred?.ratio ?? 0

const orders: Record<PreferenceOrder, (a: PreferenceMargin, b: PreferenceMargin) => number> = {
  displaced: (a, b) => Number(b.displaced) - Number(a.displaced) || loss(a) - loss(b),
  smallest: (a, b) => margin(a) - margin(b),
  largest: (a, b) => margin(b) - margin(a),
  data: () => 0,
}

const bins = 24

const histogramOf = (values: readonly number[]): PreferencePage['histogram'] => {
  const { min, max } = spreadOf(values)
  if (min === null || max === null) return []
  const width = (max - min) / bins || 1
  const counts = Array.from({ length: bins }, () => 0)
  for (const value of values) counts[Math.min(bins - 1, Math.floor((value - min) / width))]++
  return counts.map((count, i) => ({ from: min + i * width, to: min + (i + 1) * width, count }))
}

const rowOf = (record: PreferenceMargin): PreferenceRow => ({
  ...record,
  prompt: listedText(record.prompt),
  answers: record.answers.map((answer) => ({ ...answer, text: listedText(answer.text) })),
})

export const preferencePage = async ({
  folder,
  order,
  from,
  count,
}: {
  folder: string
  order: PreferenceOrder
  from: number
  count: number
}): Promise<PreferencePage> => {
  const files = [modelFiles.evaluation, modelFiles.predictions].map((name) => join(folder, runFiles.model, name))
  const all = await recent.of(folder, files, () => readPreferenceMargins(folder))
  const margins = all.flatMap(({ margin: value }) => (value === null ? [] : [value]))
  return {
    total: all.length,
    from,
    rows: [...all]
      .sort(orders[order])
      .slice(from, from + count)
      .map(rowOf),
    displaced: all.every(({ displaced }) => displaced === null)
      ? null
      : all.filter(({ displaced }) => displaced).length,
    wrong: margins.filter((value) => value < 0).length,
    margin: spreadOf(margins),
    histogram: histogramOf(margins),
  }
}
