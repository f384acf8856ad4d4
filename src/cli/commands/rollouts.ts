// `tunesmith rollouts`: the answers that a run sampled while it learned from rewards, filtered, replayed, shown or written as training data.
import { z } from 'zod'
import type { RolloutRow } from '../../alignment/index.ts'
import {
  browseRollouts,
  isReplay,
  type ReplayedRow,
  replayRollouts,
  replaySchema,
  rolloutForms,
  rolloutQuerySchema,
  writeRollouts,
} from '../../runs/index.ts'
import { defineCommand } from '../command.ts'
import { switchField, textField } from '../parts/fields.ts'
import { renderTable } from '../parts/table.ts'

interface Replayed {
  meanRewardBefore: number | null
  meanKlBefore: number | null
  meanKl: number | null
  /** Share of answers whose advantage has another sign. */
  turned: number
}

const meanOf = (values: readonly (number | null)[]): number | null => {
  const known = values.flatMap((value) => (value === null ? [] : [value]))
  return known.length === 0 ? null : known.reduce((sum, value) => sum + value, 0) / known.length
}

const describeReplay = (rows: readonly ReplayedRow[]): Replayed => ({
  meanRewardBefore: meanOf(rows.map(({ before }) => before.reward)),
  meanKlBefore: meanOf(rows.map(({ before }) => before.kl)),
  meanKl: meanOf(rows.map(({ kl }) => kl)),
  turned: meanOf(rows.map((row) => ((row.advantage ?? 0) * (row.before.advantage ?? 0) < 0 ? 1 : 0))) ?? 0,
})

interface ShownRollouts {
  /** Answers that fit the filters. */
  count: number
  meanReward: number | null
  /** The first of them. */
  answers: Omit<RolloutRow, 'promptIds' | 'completionIds' | 'logProbs' | 'referenceLogProbs' | 'values'>[]
  full: boolean
  /** What changed by the replay; undefined without one. */
  replayed?: Replayed
  written?: { path: string; lines: number }
}

const short = (text: string, width: number) => {
  const line = text.replace(/\s+/g, ' ').trim()
  return line.length > width ? `${line.slice(0, width - 1)}…` : line
}
const number = (value: number | null) => (value === null ? '' : String(Number(value.toPrecision(3))))

export const rollouts = defineCommand({
  name: 'rollouts',
  summary: 'Browse the answers that a run sampled, replay them with other rewards, and turn them into training data',
  example: 'tunesmith rollouts runs/grpo --sort reward --limit 5 --full --export best.jsonl --form sft',
  arguments: [{ name: 'run', description: 'folder of the run' }],
  processes: 'first',
  options: rolloutQuerySchema.extend({
    ...replaySchema.shape,
    limit: z.int().nonnegative().default(20).describe('number of answers to show'),
    full: switchField('whole prompts and answers instead of one line each'),
    export: textField('JSON lines file to write all answers that fit the filters to'),
    form: z
      .enum(rolloutForms)
      .default('rows')
      .describe(
        'lines of that file: rows (everything), sft (the best answer to each prompt) or pairs (the best and the worst)',
      ),
  }),
  engine: false,
  async run({ limit, full, export: path, form, ...given }, { run }): Promise<ShownRollouts> {
    const { reward, objective, advantages, shaping, beta, critic, model, ...query } = given
    const replay = { reward, objective, advantages, shaping, beta, critic, model }
    const kept = await browseRollouts(run, query)
    const replayed = isReplay(replay) ? await replayRollouts(run, kept, replay) : undefined
    const rows = replayed ?? kept
    const written = path === undefined ? undefined : { path, lines: await writeRollouts(path, rows, form) }
    return {
      count: rows.length,
      meanReward: meanOf(rows.map((row) => row.reward)),
      answers: rows
        .slice(0, limit)
        .map(
          ({ promptIds: _, completionIds: __, logProbs: ___, referenceLogProbs: ____, values: _____, ...row }) => row,
        ),
      ...(replayed === undefined ? {} : { replayed: describeReplay(replayed) }),
      full,
      ...(written === undefined ? {} : { written }),
    }
  },
  render({ count, meanReward, answers, full, replayed, written }) {
    const title = `${count} answers${meanReward === null ? '' : `, mean reward ${number(meanReward)}`}`
    const body = full
      ? answers.map(
          ({ rollout, group, member, id, prompt, completion, rewards, advantage, kl, finishReason }) =>
            `── rollout ${rollout}, group ${group}, answer ${member}, record ${id}: ${Object.entries(rewards)
              .map(([name, value]) => `${name} ${number(value)}`)
              .join(
                ', ',
              )}; advantage ${number(advantage)}, KL ${number(kl)}, ${finishReason}\n${prompt}⟦${completion}⟧`,
        )
      : [
          renderTable(
            ['rollout', 'record', 'reward', 'advantage', 'KL', 'ended', 'prompt', 'answer'],
            answers.map(({ rollout, id, reward, advantage, kl, finishReason, prompt, completion }) => [
              String(rollout),
              id,
              number(reward),
              number(advantage),
              number(kl),
              finishReason,
              short(prompt, 30),
              short(completion, 40),
            ]),
          ),
        ]
    const file = written === undefined ? [] : [`wrote ${written.lines} lines to ${written.path}`]
    const again =
      replayed === undefined
        ? []
        : [
            `replayed: mean reward ${number(replayed.meanRewardBefore)} → ${number(meanReward)}, KL ${number(replayed.meanKlBefore)} → ${number(replayed.meanKl)}, ${number(100 * replayed.turned)} % of the advantages have another sign`,
          ]
    return [title, ...again, ...(answers.length === 0 ? [] : body), ...file].join('\n')
  },
})
