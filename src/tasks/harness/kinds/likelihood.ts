// Kinds that are scored by log-likelihood: one text after a prompt, and multiple choice, where the choices follow one prompt, or each
// choice makes a prompt of its own and what follows is scored (partial scoring, as in WinoGrande). @source lm-eval 0.4.13, `multiple_choice`; Trinh and Le 2018, arXiv:1806.02847
import { z } from 'zod'
import { ConfigError, DataError } from '../../../core/index.ts'
import { scoreRequests } from '../../language-modelling/score-requests.ts'
import { argmax } from '../../learning/probabilities.ts'
import { compileList, compileTemplate, type TemplateRow } from '../template.ts'
import { defineHarnessKind, type HarnessMetric, listField, templateField } from './kind.ts'

/** How log-likelihoods are divided before the largest is chosen. */
const accuracies = {
  acc: { summary: 'accuracy by log-likelihood', size: () => 1 },
  // A character is a code point, as in Python.
  acc_norm: {
    summary: 'accuracy by log-likelihood per character of the choice',
    size: (choice: string) => [...choice].length,
  },
  acc_bytes: {
    summary: 'accuracy by log-likelihood per UTF-8 byte of the choice',
    size: (choice: string) => Buffer.byteLength(choice),
  },
  acc_tokens: {
    summary: 'accuracy by log-likelihood per token of the choice',
    size: (_: string, tokens: number) => tokens,
  },
} as const

type Accuracy = keyof typeof accuracies
const accuracyNames = Object.keys(accuracies) as Accuracy[]

const fields = z.strictObject({
  prompt: z.union([templateField, z.array(templateField).min(2)]).describe('prompt, or one prompt for each choice'),
  choices: listField.optional().describe('texts after the prompt, of which the most likely one is chosen'),
  continuation: templateField
    .optional()
    .describe('text that is scored after each prompt, where every choice has its own'),
  target: templateField.describe('index of the right choice from 0, or its label where `labels` is set'),
  labels: listField.optional().describe('labels of the choices, which `target` names'),
  metrics: z.array(z.enum(accuracyNames)).min(1).default(['acc', 'acc_norm']).describe('accuracies that are reported'),
})

/** Index of the right choice. @throws DataError for a target that names no choice */
const indexOf = (target: string, labels: readonly string[] | undefined, choices: number, row: TemplateRow): number => {
  const index = labels === undefined ? Number(target.trim() || 'none') : labels.indexOf(target.trim())
  if (Number.isInteger(index) && index >= 0 && index < choices) return index
  const expected = labels === undefined ? `a choice from 0 to ${choices - 1}` : `one of ${labels.join(', ')}`
  throw new DataError(`Expected ${expected} for \`target\`, got ${JSON.stringify(target)}.`, row.file, row.line)
}

export const multipleChoiceKind = defineHarnessKind({
  type: 'multiple-choice',
  fields,
  compile({ prompt, choices, continuation, target, labels, metrics }, delimiter) {
    const several = Array.isArray(prompt)
    if (several === (continuation === undefined) || several === (choices !== undefined))
      throw new ConfigError(
        'A multiple-choice task needs `choices` with one `prompt`, or `continuation` with one prompt for each choice.',
      )
    const promptsOf = several ? compileList(prompt, 'prompt') : (row: TemplateRow) => [compiledPrompt(row)]
    const compiledPrompt = several ? () => '' : compileTemplate(prompt as string, 'prompt').text
    const choicesOf = choices === undefined ? promptsOf : compileList(choices, 'choices')
    const continuationOf = continuation === undefined ? undefined : compileTemplate(continuation, 'continuation').text
    const targetOf = compileTemplate(target, 'target').text
    const labelsOf = labels === undefined ? undefined : compileList(labels, 'labels')
    const rightOf = (row: TemplateRow, all: readonly string[]) =>
      indexOf(targetOf(row), labelsOf?.(row), all.length, row)
    return {
      metrics: metrics.map(
        (name): HarnessMetric => ({ name, direction: 'higher', unit: 'share', summary: accuracies[name].summary }),
      ),
      question(row) {
        const [prompts, all] = [promptsOf(row), choicesOf(row)]
        const right = rightOf(row, all)
        return {
          prompts,
          prompt: prompts[several ? right : 0],
          answer: continuationOf?.(row) ?? all[right],
        }
      },
      async run(rows, { model, tokenizer, ...engine }) {
        const all = rows.map(({ row }) => choicesOf(row))
        const requests = rows.map(({ row, prompts }, i) => {
          const common = continuationOf?.(row)
          return all[i].map((choice, k) => ({
            context: prompts[several ? k : 0],
            continuation: delimiter + (common ?? choice),
            file: row.file,
            line: row.line,
          }))
        })
        const { scores, truncated } = await scoreRequests(model, tokenizer, requests, engine, engine)
        const outcomes = rows.map(({ row }, i) => {
          const right = rightOf(row, all[i])
          const sums = scores[i].map(({ logProbability }) => logProbability)
          const chosen = metrics.map((name) =>
            argmax(sums.map((sum, k) => sum / accuracies[name].size(all[i][k], scores[i][k].tokens))),
          )
          return {
            scores: Object.fromEntries(metrics.map((name, m) => [name, Number(chosen[m] === right)])),
            detail: {
              target: right,
              logLikelihoods: sums,
              greedy: scores[i].map(({ greedy }) => greedy),
            },
          }
        })
        return { outcomes, truncated }
      },
    }
  },
})

// @source lm-eval 0.4.13, `loglikelihood`; Paperno et al. 2016, arXiv:1606.06031
const textFields = z.strictObject({
  prompt: templateField.describe('text before the target'),
  target: templateField.describe('text that is scored, with the white space before it'),
})

export const logLikelihoodKind = defineHarnessKind({
  type: 'log-likelihood',
  fields: textFields,
  compile({ prompt, target }) {
    const promptOf = compileTemplate(prompt, 'prompt').text
    const targetOf = compileTemplate(target, 'target').text
    return {
      metrics: [
        {
          name: 'acc',
          direction: 'higher',
          unit: 'share',
          summary: 'share of targets that greedy decoding gives',
        },
        {
          name: 'perplexity',
          direction: 'lower',
          unit: 'tokens',
          summary: 'exponential of the mean negative log-likelihood of a target',
          ofMean: (mean) => Math.exp(-mean),
        },
      ],
      question(row) {
        const text = promptOf(row)
        return { prompts: [text], prompt: text, answer: targetOf(row) }
      },
      async run(rows, { model, tokenizer, ...engine }) {
        const requests = rows.map(({ row, prompts: [context] }) => [
          { context, continuation: targetOf(row), file: row.file, line: row.line },
        ])
        const { scores, truncated } = await scoreRequests(model, tokenizer, requests, engine, engine)
        return {
          outcomes: scores.map(([{ logProbability, greedy }], i) => ({
            scores: { acc: Number(greedy), perplexity: logProbability },
            detail: { target: targetOf(rows[i].row), logLikelihoods: [logProbability], greedy: [greedy] },
          })),
          truncated,
        }
      },
    }
  },
})
