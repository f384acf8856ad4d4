// Alarms of reinforcement learning: what usually means that the policy no longer learns what was meant. They compare the measures of a rollout
// with those before; each is raised once until its condition has clearly passed. Audits, not proofs: a quiet run may be wrong too.
import { z } from 'zod'
import { CheckpointError, programCall } from '../../core/index.ts'

/** Settings of the alarms. */
export const alarmSchema = z.strictObject({
  entropy: z
    .number()
    .nonnegative()
    .default(0.2)
    .describe('alarm when the entropy of the policy falls below this share of its first value (0: off)'),
  kl: z
    .number()
    .nonnegative()
    .default(50)
    .describe('alarm above this KL divergence from the reference, in nats per answer (0: off)'),
  length: z
    .number()
    .nonnegative()
    .default(3)
    .describe('alarm when answers are this many times as long as at first (0: off)'),
  judge: z
    .number()
    .nonnegative()
    .default(0.5)
    .describe(
      'alarm when the reward has risen and the score of the judge has fallen by this many standard errors (0: off)',
    ),
})

/** Checked settings of the alarms. */
export type AlarmSettings = z.output<typeof alarmSchema>

/** An alarm that was raised. */
export interface Alarm {
  kind: string
  message: string
}

const stateSchema = z
  .strictObject({
    first: z.record(z.string(), z.number()),
    raised: z.array(z.string()),
    judged: z.array(z.strictObject({ reward: z.number(), judge: z.number(), error: z.number() })),
  })
  .nullable()

/** Share of its limit below which what raised an alarm has passed: a measure near the limit goes over it again and again. */
const passedShare = 0.8

/** The least number of rollouts behind a first value: a single one is noise. */
const firstRollouts = 3

const round = (value: number) => String(Number(value.toPrecision(3)))

/** Watches the measures of rollouts and of evaluations. Its state is JSON, for checkpoints. */
export class Alarms {
  readonly #settings: AlarmSettings
  #first: Record<string, number> = {}
  #raised = new Set<string>()
  #judged: { reward: number; judge: number; error: number }[] = []

  constructor(settings: AlarmSettings) {
    this.#settings = settings
  }

  check(measures: Readonly<Record<string, number>>): Alarm[] {
    const { entropy, kl, length } = this.#settings
    const found: Alarm[] = []
    const raise = (kind: string, shareOfLimit: number, message: string) => {
      if (shareOfLimit < passedShare) this.#raised.delete(kind)
      else if (shareOfLimit > 1 && !this.#raised.has(kind)) {
        this.#raised.add(kind)
        found.push({ kind, message })
      }
    }
    const first = this.#firstOf(measures)
    if (entropy > 0 && first.entropy !== undefined && measures.entropy !== undefined)
      raise(
        'entropy-collapse',
        (entropy * first.entropy) / measures.entropy,
        `The entropy of the policy is ${round(measures.entropy)} nats per token, it was ${round(first.entropy)}: it writes nearly the same answer every time. Raise \`rollout.temperature\` or the KL penalty, or lower the learning rate.`,
      )
    if (kl > 0 && measures.kl !== undefined)
      raise(
        'kl-runaway',
        measures.kl / kl,
        `The KL divergence from the reference is ${round(measures.kl)} nats per answer: the policy is far from the base. Raise the KL penalty, or lower the learning rate.`,
      )
    if (length > 0 && first.completionTokens !== undefined && measures.completionTokens !== undefined)
      raise(
        'length-runaway',
        measures.completionTokens / (length * first.completionTokens),
        `Answers are ${round(measures.completionTokens)} tokens long, they were ${round(first.completionTokens)}: the reward may pay for length. Add the reward \`length\`, or a penalty of long answers.`,
      )
    return found
  }

  /**
   * Alarms of an evaluation on independent prompts: the reward that is trained on, and the score of a judge that is not.
   * @param error standard error of the judge's mean
   */
  checkJudge(reward: number, judge: number, error: number): Alarm[] {
    const { judge: factor } = this.#settings
    const [start] = this.#judged
    if (factor === 0 || ![reward, judge, error].every(Number.isFinite)) return []
    this.#judged.push({ reward, judge, error })
    if (start === undefined) return []
    const best = this.#judged.reduce((high, one) => (one.judge > high.judge ? one : high))
    const isWrong = reward > best.reward && best.judge - judge > factor * Math.hypot(error, best.error)
    if (!isWrong) {
      this.#raised.delete('reward-hacking')
      return []
    }
    if (this.#raised.has('reward-hacking')) return []
    this.#raised.add('reward-hacking')
    return [
      {
        kind: 'reward-hacking',
        message: `The reward on validation prompts rose from ${round(best.reward)} to ${round(reward)} while the independent judge fell from ${round(best.judge)} to ${round(judge)}: the policy may exploit the reward. Read its answers (\`${programCall('rollouts')}\`), and keep the checkpoint with the best judge.`,
      },
    ]
  }

  save(): unknown {
    return { first: this.#first, raised: [...this.#raised].sort(), judged: this.#judged }
  }

  /** @throws CheckpointError for what `save` cannot have given */
  load(state: unknown): void {
    const parsed = stateSchema.safeParse(state)
    if (!parsed.success)
      throw new CheckpointError(
        'Expected the state of the alarms in the checkpoint, got something else. It is damaged.',
      )
    const { first = {}, raised = [], judged = [] } = parsed.data ?? {}
    this.#first = { ...first }
    this.#raised = new Set(raised)
    this.#judged = [...judged]
  }

  /** Means over the first rollouts, by measure. */
  #firstOf(measures: Readonly<Record<string, number>>): Partial<Record<string, number>> {
    const { seen = 0 } = this.#first
    if (seen < firstRollouts) {
      for (const name of ['entropy', 'completionTokens']) {
        const value = measures[name]
        if (value !== undefined) this.#first[name] = ((this.#first[name] ?? 0) * seen + value) / (seen + 1)
      }
      this.#first.seen = seen + 1
      return {}
    }
    return this.#first
  }
}
