// `tunesmith judge`: which of two sets of answers a language model behind a server prefers. The work is `judgeAnswers` of src/inference.
import { readFile } from 'node:fs/promises'
import { z } from 'zod'
import { ConfigError, formatCount } from '../../core/index.ts'
import { type JudgeResult, judgeAnswers } from '../../inference/index.ts'
import { anyTaskSettings, bootstrapFields, type Interval } from '../../tasks/index.ts'
import { defineCommand } from '../command.ts'
import { countField, switchField, textField } from '../parts/fields.ts'
import { labelledProgress } from '../parts/labelled-progress.ts'
import { useField } from '../parts/model-flags.ts'
import { taskSchemas } from '../parts/recipe-choices.ts'
import { readToken } from '../parts/server-flags.ts'

export const judge = defineCommand({
  name: 'judge',
  summary: 'Let a model behind an OpenAI-compatible server compare two sets of written answers',
  example:
    'tunesmith judge instructions --references test.jsonl --predictions mine.jsonl --against base.jsonl --endpoint http://127.0.0.1:8080/v1 --judge judge-model --out judged.jsonl',
  notes: [
    'Each pair is judged twice, with the answers in both orders; verdicts that contradict each other are a tie.',
    'Questions and answers are sent to the server that you name, and to no other.',
  ],
  arguments: [{ name: 'task', description: 'task with written answers: instructions, generative-qa, summarization' }],
  choices: () => [{ choice: 'task', part: 'settings', schemas: taskSchemas() }],
  processes: 'first',
  options: z.strictObject({
    use: useField.describe('packages or files to import first, which register their own tasks'),
    references: z.string().describe('file or folder with the questions'),
    predictions: z.string().describe('file of answers, in the forms that `score` reads'),
    against: textField('file of the answers to compare with (default: the references)'),
    endpoint: z
      .url({ protocol: /^https?$/ })
      .describe('address of the server up to its version, such as http://127.0.0.1:8080/v1'),
    judge: z.string().min(1).describe('name of the judging model at the server'),
    tokenFile: textField('file with the token of the server'),
    prompt: textField('file with a Jinja template that shows the judge question, first, second and reference'),
    showReference: switchField('show the judge the reference answer too'),
    dataset: textField('known data set whose format the references have'),
    settings: anyTaskSettings.prefault({}).describe('columns and format of the references'),
    limit: countField('judge the first questions only'),
    maxTokens: z.int().positive().default(256).describe("tokens of the judge's reasons and verdict"),
    concurrency: z.int().positive().default(4).describe('requests at the same time'),
    timeoutSeconds: z.number().positive().default(120).describe('longest wait for an answer of the server'),
    attempts: z.int().positive().default(4).describe('tries of a request that the server refuses for now'),
    ...bootstrapFields,
    out: textField("file of the judge's answers, a line for each: a second call asks only what is not there"),
  }),
  async run({ use: _, judge: model, tokenFile, prompt, ...input }, { task }, context): Promise<JudgeResult> {
    const token = await readToken(tokenFile)
    const template =
      prompt === undefined
        ? undefined
        : await readFile(prompt, 'utf8').catch((error: NodeJS.ErrnoException) => {
            throw new ConfigError(`Expected a file for \`prompt\`, got ${error.code} for ${prompt}.`)
          })
    const { onProgress, stop } = labelledProgress(context)
    try {
      return await judgeAnswers(
        { task, model, token, ...input, ...(template === undefined ? {} : { prompt: template }) },
        {
          signal: context.signal,
          onProgress: ({ requests, of }) => onProgress({ label: 'Judging', unit: 'requests', done: requests, of }),
        },
      )
    } finally {
      stop()
    }
  },
  render(result) {
    const number = (value: number) => (Number.isNaN(value) ? '-' : value.toFixed(3))
    const interval = ({ value, low, high }: Interval) => `${number(value)} [${number(low)}, ${number(high)}]`
    const { questions, wins, losses, ties, identical, withoutVerdict, characters, tokens, requests } = result
    const round = (value: number) => formatCount(Math.round(value))
    return [
      `${formatCount(questions)} questions, judged by ${result.model}`,
      `* win rate           ${interval(result.winRate)}`,
      `  length-controlled  ${interval(result.lengthControlled)}`,
      `  wins ${formatCount(wins)}, losses ${formatCount(losses)}, ties ${formatCount(ties)}`,
      `  same verdict in both orders  ${interval(result.consistent)}`,
      `  verdicts for the first place ${interval(result.forFirst)}`,
      `  characters of an answer: ${round(characters.predictions)}, of the others: ${round(characters.against)}`,
      `  ${formatCount(requests)} requests now; tokens of all: ${formatCount(tokens.prompt)} read, ${formatCount(tokens.completion)} written`,
      ...(identical > 0 ? [`  equal answers, counted as ties: ${formatCount(identical)}`] : []),
      ...(withoutVerdict.count > 0
        ? [`  without a verdict, left out: ${formatCount(withoutVerdict.count)}, first: ${withoutVerdict.first}`]
        : []),
      ...Object.entries(result.skipped).map(
        ([reason, { count, first }]) => `  skipped: ${formatCount(count)} ${reason}, first: ${first}`,
      ),
    ].join('\n')
  },
})
