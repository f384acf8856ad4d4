// A reward model as a reward: its score of prompt and answer, on the scale that is stored with it. @source arXiv:2203.02155
import { z } from 'zod'
import { type PromptText, predictTask, type RewardRecord, taskConfig, tasks, turnsOf } from '../../../tasks/index.ts'
import { defineReward, type RewardSample } from '../reward.ts'
import { judgeFields, loadJudge, plainText, promptAndAnswer } from './judge.ts'

const forms: {
  readonly [form in 'auto' | 'raw' | 'turns']: (prompt: PromptText, answer: PromptText) => [PromptText, PromptText]
} = {
  auto: (prompt, answer) => [prompt, answer],
  raw: (prompt, answer) => [plainText(prompt), plainText(answer)],
  turns: (prompt, answer) => [turnsOf(prompt, 'user'), turnsOf(answer, 'assistant')],
}

export const rewardModel = defineReward({
  type: 'reward-model',
  source: 'arXiv:2203.02155',
  summary: 'The score of a reward model, on its own scale.',
  config: z.strictObject({
    ...judgeFields,
    texts: z
      .enum(['auto', 'raw', 'turns'])
      .optional()
      .describe(
        'what the model reads: raw text, turns through its own chat template, or auto, as the prompts are (default: as in fine-tuning)',
      ),
    template: z.string().optional().describe('chat template of the reward model (default: its own)'),
    scale: z
      .boolean()
      .default(true)
      .describe('scale scores as in the files of the model: 0 is the mean of good answers, 1 their standard deviation'),
  }),
  cached: true,
  limits: { concurrency: 1, timeoutSeconds: 3600 },
  async open({ texts, template, scale, maxLength, batchTokens, ...choice }, context) {
    const judge = await loadJudge(choice, ['reward'], 'reward-model', context)
    const fineTuned = judge.task?.task === tasks.reward.type ? judge.task : undefined
    const known = fineTuned?.settings ?? {}
    const config = taskConfig(tasks.reward, { template, tooLong: 'truncate' }, undefined, known)
    const form = forms[texts ?? config.texts]
    const recordOf = (sample: RewardSample, index: number): RewardRecord => {
      const { file, line } = sample.record
      const { prompt, answer } = promptAndAnswer(sample)
      const [question, completion] = form(prompt, answer)
      return { id: String(index), file, line, prompt: question, answers: [completion] }
    }
    return {
      identity: judge.identity,
      usesModel: true,
      close: () => judge.close(),
      score: (samples, { signal }) =>
        judge.use(async (model) => {
          const settings = { batchTokens, signal, maxLength: maxLength ?? fineTuned?.maxLength }
          const { predictions } = await predictTask(
            model,
            judge.tokenizer,
            tasks.reward,
            samples.map(recordOf),
            config,
            settings,
          )
          // An answer that the encoder drops is NaN, which is a failure and no reward.
          return predictions.map(({ rewards, logits = rewards }) => (scale ? rewards : logits)[0])
        }),
    }
  },
})
