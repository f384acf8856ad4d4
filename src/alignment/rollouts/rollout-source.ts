// Rollouts as examples that the run makes itself: the policy answers prompts, rewards score the answers, a method turns them into examples,
// and several epochs of mini-batches train on them. Independent of the method, of how answers are sampled, and of how they are scored.
import { join } from 'node:path'
import { DataError, permutedIndex } from '../../core/index.ts'
import type { CarriedState, ShareWork } from '../../objectives/index.ts'
import type { IncidentEvent, NoteEvent, RolloutEvent } from '../../tracking/index.ts'
import type { Alarm, Alarms } from './alarms.ts'
import { measureRollout } from './measures.ts'
import {
  answerText,
  hasVariance,
  promptIdsOf,
  promptOrder,
  type ResolvedRollout,
  type RolloutAnswer,
  type RolloutGroup,
  type RolloutPrompt,
} from './rollout.ts'
import { type RolloutRow, rolloutFile, writeRollout } from './rollout-files.ts'
import { type RolloutState, readRolloutState, writeRolloutState } from './rollout-state.ts'

/** What the making of a rollout may use. */
export interface RolloutContext {
  /** Optimizer steps taken so far. */
  step: number
  /** Maximum tokens of a forward pass. */
  microTokens: number
  padded: boolean
  device?: string
  signal?: AbortSignal | undefined
  /** Divides what is computed of the answers among the processes of a run, which all have the same answers. */
  share?: ShareWork
}

/** An answer as it was sampled. */
export type SampledAnswer = Pick<
  RolloutAnswer,
  'ids' | 'mask' | 'logProbs' | 'finishReason' | 'entropy' | 'promptIds' | 'episode'
>

/** Samples answers of the policy. */
export type AnswerSampler = (
  /** Prompts, each with the random seed of its answers. */
  requests: readonly { prompt: RolloutPrompt; seed: number }[],
  /** Number of answers to each prompt; `greedy` for one without sampling. */
  answers: number | 'greedy',
  context: Pick<RolloutContext, 'signal'>,
) => Promise<SampledAnswer[][]>

/** Scores answers. */
export interface AnswerJudge {
  /** Names of the reward functions. */
  readonly names: readonly string[]
  /** Factor of each in the sum of the rewards. */
  readonly weights: readonly number[]
  /** The rewards of each answer by function, and their weighted sum. @throws the signal's reason when it is aborted */
  score(
    answers: readonly { prompt: RolloutPrompt; answer: SampledAnswer; text: string }[],
    context: { signal?: AbortSignal },
  ): Promise<Pick<RolloutAnswer, 'rewards' | 'reward'>[]>
}

/** What a method made of an answer. */
export interface TrainedAnswer {
  answer: RolloutAnswer
  /** Advantages of its tokens; undefined for methods without. */
  advantages?: ArrayLike<number>
}

/** What a method learns from a rollout. */
export interface RolloutMethod<Example> {
  /** Whether it compares with the greedy answer to each prompt. */
  readonly needsGreedyAnswer?: boolean
  /** Adds to the answers what is computed with other weights: reference log-probabilities, values. No gradients. */
  complete?(
    answers: readonly { prompt: RolloutPrompt; answer: RolloutAnswer }[],
    context: RolloutContext,
  ): Promise<void>
  /** The examples: a pure function of the groups and of what is carried. */
  examples(groups: readonly { prompt: RolloutPrompt; group: RolloutGroup }[]): {
    examples: Example[]
    trained: TrainedAnswer[]
    metrics: Record<string, number>
  }
  /** Changes what is carried, after the examples of a rollout were made. */
  advance?(answers: readonly RolloutAnswer[]): void
  /** State from rollout to rollout, such as the coefficient of a KL penalty. */
  readonly carried?: CarriedState
  /** Truncated tokens of an example (default: 0). */
  cut?(example: Example): number
}

/** The parts of a rollout source. */
export interface RolloutParts<Example> {
  prompts: readonly RolloutPrompt[]
  settings: ResolvedRollout
  seed: number
  sample: AnswerSampler
  judge: AnswerJudge
  method: RolloutMethod<Example>
  alarms: Alarms
  decode(ids: ArrayLike<number>, options?: { special?: boolean }): string
  /** Folder for the files of rollouts, and its name in events; undefined to write none. */
  files?: { folder: string; name: string }
}

type Unstamped<Event> = Event extends unknown ? Omit<Event, 'time' | 'step'> : never
type RolloutHappening = Unstamped<RolloutEvent | IncidentEvent | NoteEvent>

/** Rollouts without an example after which the run gives up. */
const emptyRollouts = 3

const emptyState = (): RolloutState => ({
  rollouts: 0,
  cursor: 0,
  start: 0,
  end: 0,
  answers: [],
  before: null,
  after: null,
  watched: null,
})

/** An example source whose examples are rollouts. */
export class RolloutSource<Example> {
  readonly #parts: RolloutParts<Example>
  readonly #order
  #state: RolloutState = emptyState()
  #examples: Example[] = []
  #raised: Alarm[] = []

  constructor(parts: RolloutParts<Example>) {
    this.#parts = parts
    this.#order = promptOrder(parts.prompts.length, parts.seed)
  }

  /** Itself: every example is made while training. */
  get online(): this {
    return this
  }

  /** Examples of one epoch over the prompts, if every answer becomes one. */
  get perEpoch(): number {
    const { prompts, settings } = this.#parts
    return prompts.length * settings.answers * settings.epochs
  }

  get end(): number {
    return this.#state.end
  }

  /** Mean prompt, and half of the longest answer. */
  get expectedTokens(): number {
    const { prompts, settings } = this.#parts
    const mean = prompts.reduce((sum, { ids }) => sum + ids.length, 0) / prompts.length
    return Math.ceil(mean + settings.maxNewTokens / 2)
  }

  /** The first prompt, and how many answers are written to each. */
  describe(): string {
    const { prompts, settings, decode, judge } = this.#parts
    const answers = settings.answers === 1 ? '1 answer' : `${settings.answers} answers`
    const scored = judge.names.length === 0 ? '' : `, scored by ${judge.names.join(', ')}`
    return [
      `${decode(prompts[this.#order.at(0)].ids, { special: true })}⟦…⟧`,
      `${answers} to each of ${settings.prompts} prompts, up to ${settings.maxNewTokens} tokens long${scored}`,
    ].join('\n')
  }

  example(position: number): { example: Example; cut: number } {
    const { seed, method } = this.#parts
    const { start, rollouts } = this.#state
    const count = this.#examples.length
    const offset = position - start
    const epoch = Math.floor(offset / count)
    const example = this.#examples[permutedIndex(`${seed}/rollout/${rollouts}/${epoch}`, count, offset % count)]
    return { example, cut: method.cut?.(example) ?? 0 }
  }

  /** A batch does not go past the end of an epoch over a rollout. */
  batchEnd(position: number): number {
    const { start, end } = this.#state
    const count = this.#examples.length
    return count === 0 || position >= end ? Number.POSITIVE_INFINITY : position + count - ((position - start) % count)
  }

  /** Alarms from elsewhere, such as an evaluation: they become incidents with the next rollout. */
  raise(alarms: readonly Alarm[]): void {
    this.#raised.push(...alarms)
  }

  /** Makes the next rollout when the steps of the current one are done. An aborted one changes nothing. */
  async *fill(position: number, context: RolloutContext): AsyncGenerator<RolloutHappening> {
    if (position < this.#state.end) return
    const { method, settings, alarms, judge, files } = this.#parts
    const started = performance.now()
    const seconds = { sampling: 0, scoring: 0, completing: 0 }
    const found = await this.#makeExamples(context, seconds)
    if (found === undefined) return
    const { made, answers, before, examples, trained, metrics } = found
    method.advance?.(answers)
    const rollout = this.#state.rollouts + 1
    const measured = { ...measureRollout(made.all, judge.names), ...metrics }
    const messages = alarms.check(measured)
    this.#state = {
      rollouts: rollout,
      cursor: made.cursor,
      start: position,
      end: position + examples.length * settings.epochs,
      answers,
      before,
      after: method.carried?.save() ?? null,
      watched: alarms.save(),
    }
    this.#examples = examples
    const path = await this.#write({ rollout, step: context.step, groups: made.all, trained, metrics })
    const total = (performance.now() - started) / 1000
    yield {
      type: 'rollout',
      metrics: {
        ...measured,
        samplingShare: seconds.sampling / total,
        scoringShare: seconds.scoring / total,
        completingShare: seconds.completing / total,
      },
      seconds: total,
      ...(path === undefined ? {} : { path: join(files?.name ?? '', path) }),
    }
    if (made.varied < settings.prompts)
      yield {
        type: 'incident',
        kind: 'few-groups',
        message: `Only ${made.varied} of ${settings.prompts} groups had rewards that differ after ${settings.rounds} rounds of sampling. Choose harder or easier prompts, or raise \`rollout.answers\`.`,
      }
    for (const { kind, message } of [...messages, ...this.#raised.splice(0)]) yield { type: 'incident', kind, message }
  }

  /** Samples, scores and completes answers until there is something to train on; undefined when it is aborted. */
  async #makeExamples(context: RolloutContext, seconds: { sampling: number; scoring: number; completing: number }) {
    const { method, settings } = this.#parts
    const before = method.carried?.save() ?? null
    let { cursor } = this.#state
    for (let attempt = 0; attempt < emptyRollouts; attempt++) {
      const made = await this.#sampleGroups(cursor, context, seconds)
      if (context.signal?.aborted) return undefined
      cursor = made.cursor
      const from = performance.now()
      const answers = made.kept.flat()
      await method.complete?.(
        answers.map((answer) => ({ prompt: this.#promptOf(answer), answer })),
        context,
      )
      seconds.completing += (performance.now() - from) / 1000
      if (context.signal?.aborted) return undefined
      const learned = this.#examplesOf(made.kept)
      if (learned.examples.length > 0) return { made, answers, before, ...learned }
    }
    throw new DataError(
      `Expected answers to train on, got none in ${emptyRollouts} rollouts of ${settings.prompts} prompts: every answer is truncated and masked, has no reward, or is as good as the others. Raise \`rollout.maxNewTokens\`, or look at the rewards.`,
    )
  }

  async save(folder: string): Promise<void> {
    await writeRolloutState(folder, this.#state)
  }

  async load(folder: string): Promise<void> {
    const { method, alarms } = this.#parts
    this.#state = await readRolloutState(folder)
    alarms.load(this.#state.watched)
    if (this.#state.answers.length === 0) return
    const groups = new Map<number, RolloutAnswer[]>()
    for (const answer of this.#state.answers) groups.set(answer.group, [...(groups.get(answer.group) ?? []), answer])
    method.carried?.load(this.#state.before)
    this.#examples = this.#examplesOf([...groups.values()]).examples
    method.carried?.load(this.#state.after)
  }

  #promptOf({ prompt }: RolloutAnswer): RolloutPrompt {
    return this.#parts.prompts[prompt]
  }

  #examplesOf(groups: readonly RolloutGroup[]) {
    return this.#parts.method.examples(groups.map((group) => ({ prompt: this.#promptOf(group[0]), group })))
  }

  /** Samples and scores groups until there are enough, within the bounded rounds. */
  async #sampleGroups(first: number, context: RolloutContext, seconds: { sampling: number; scoring: number }) {
    const { settings, prompts, sample, method } = this.#parts
    const dynamic = settings.rounds > 1
    const all: RolloutAnswer[][] = []
    let kept: RolloutAnswer[][] = []
    let cursor = first
    for (let round = 0; round < settings.rounds && kept.length < settings.prompts; round++) {
      const cursors = Array.from({ length: settings.prompts - kept.length }, (_, i) => cursor + i)
      cursor += cursors.length
      const indices = cursors.map((at) => this.#order.at(at))
      const requests = cursors.map((at, i) => ({ prompt: prompts[indices[i]], seed: this.#order.seedAt(at) }))
      const from = performance.now()
      const sampled = await sample(requests, settings.answers, context)
      const greedy = method.needsGreedyAnswer === true ? await sample(requests, 'greedy', context) : []
      seconds.sampling += (performance.now() - from) / 1000
      if (context.signal?.aborted) break
      const scores = await this.#score(requests, sampled, context, seconds)
      const baselines = (await this.#score(requests, greedy, context, seconds)).map(({ reward }) => reward)
      let scored = 0
      const groups = sampled.map((group, i) =>
        group.map(
          (answer, member): RolloutAnswer => ({
            prompt: indices[i],
            group: all.length + i,
            member,
            ...answer,
            ...scores[scored++],
            ...(greedy.length === 0 ? {} : { greedy: baselines[i] }),
          }),
        ),
      )
      all.push(...groups)
      kept.push(...(dynamic ? groups.filter(hasVariance) : groups))
    }
    const varied = dynamic ? kept.length : settings.prompts
    // With equal rewards everywhere, the step learns nothing, but the run goes on.
    if (kept.length === 0) kept = all.slice(0, settings.prompts)
    return { all, kept, varied, cursor }
  }

  async #score(
    requests: readonly { prompt: RolloutPrompt }[],
    sampled: readonly SampledAnswer[][],
    { signal }: RolloutContext,
    seconds: { scoring: number },
  ): Promise<Pick<RolloutAnswer, 'rewards' | 'reward'>[]> {
    const { judge, decode } = this.#parts
    const from = performance.now()
    const asked = sampled.flatMap((group, i) =>
      group.map((answer) => ({ prompt: requests[i].prompt, answer, text: answerText(answer, decode) })),
    )
    const scores = asked.length === 0 ? [] : await judge.score(asked, { signal })
    seconds.scoring += (performance.now() - from) / 1000
    return scores
  }

  async #write({
    rollout,
    step,
    groups,
    trained,
    metrics,
  }: {
    rollout: number
    step: number
    groups: readonly RolloutGroup[]
    trained: readonly TrainedAnswer[]
    /** Of the method. */
    metrics: Readonly<Record<string, number>>
  }): Promise<string | undefined> {
    const { files, judge, decode, settings } = this.#parts
    if (files === undefined || !settings.keep) return undefined
    const found = new Map(trained.map((one) => [one.answer, one]))
    const rows = groups.flat().map((answer): RolloutRow => {
      const prompt = this.#promptOf(answer)
      const { record } = prompt
      const ids = Array.from(promptIdsOf(prompt, answer))
      const own = found.get(answer)
      const { advantages } = own ?? {}
      const { episode } = answer
      return {
        rollout,
        step,
        group: answer.group,
        member: answer.member,
        id: record.id,
        prompt: decode(ids, { special: true }),
        completion: answerText(answer, decode),
        reference: record.reference ?? null,
        finishReason: answer.finishReason,
        end: episode?.end ?? null,
        turns: episode?.turns ?? 1,
        messages: episode === undefined ? null : JSON.stringify([...episode.prompt, ...episode.messages]),
        trained: own !== undefined,
        reward: answer.reward,
        rewards: Object.fromEntries(judge.names.map((name, i) => [name, answer.rewards[i]])),
        rewardWeights: Object.fromEntries(judge.names.map((name, i) => [name, judge.weights[i]])),
        advantage: advantages === undefined ? null : meanOf(advantages),
        kl: answer.reference === undefined ? null : klOf(answer),
        promptIds: ids,
        completionIds: Array.from(answer.ids),
        mask: Array.from(answer.mask),
        logProbs: Array.from(answer.logProbs),
        referenceLogProbs: Array.from(answer.reference ?? []),
        klCoefficient: metrics.klCoefficient ?? null,
        values: Array.from(answer.values ?? []),
      }
    })
    await writeRollout(files.folder, rollout, rows, judge.names)
    return rolloutFile(rollout)
  }
}

const meanOf = (values: ArrayLike<number>): number =>
  values.length === 0 ? 0 : Array.from(values).reduce((sum, value) => sum + value, 0) / values.length

/** KL divergence of an answer from the reference, estimated by its own tokens, in nats. */
export const klOf = ({ mask, logProbs, reference }: RolloutAnswer): number => {
  let kl = 0
  if (reference !== undefined) for (let t = 0; t < mask.length; t++) if (mask[t] !== 0) kl += logProbs[t] - reference[t]
  return kl
}
