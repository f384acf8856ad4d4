// The log-likelihood of one text after a prompt: its perplexity, and whether greedy decoding would give it, as for the last
// word of LAMBADA. @source lm-eval 0.4.13, `loglikelihood`; Paperno et al. 2016, arXiv:1606.06031
import { z } from 'zod'
import { scoreRequests } from '../../language-modelling/score-requests.ts'
import { compileTemplate } from '../template.ts'
import { defineHarnessKind, templateField } from './kind.ts'

const fields = z.strictObject({
  prompt: templateField.describe('text before the target'),
  target: templateField.describe('text that is scored, with the white space before it'),
})

export const logLikelihoodKind = defineHarnessKind({
  type: 'log-likelihood',
  fields,
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
