// Choices ranked by what a model finds likely, against the lm-evaluation-harness (golden/choices.json, made by make-choices.py), and the same
// whatever the batches are.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadModel } from '../../src/checkpoint/index.ts'
import type { Model } from '../../src/models/index.ts'
import { type ChoiceRecord, evaluateRankedChoices } from '../../src/tasks/index.ts'
import { scoreContinuations } from '../../src/tasks/language-modelling/continuations.ts'
import { type ScoredModel, scoreBatch } from '../../src/tasks/language-modelling/scoring.ts'
import { liveTensors } from '../../src/tensor/index.ts'
import { loadTokenizer, type Tokenizer } from '../../src/tokenizers/index.ts'
import { runHere } from '../e2e/run-folder.ts'

interface Golden {
  records: { id: string; question: string; choices: string[]; answer: number }[]
  runs: {
    prompt: string
    delimiter: string
    metrics: { acc: number; acc_norm: number; acc_bytes: number }
    logLikelihoods: number[][]
    greedy: boolean[][]
    perRecord: [number, number, number][]
  }[]
}

const folder = fileURLToPath(new URL('golden', import.meta.url))
const golden = JSON.parse(readFileSync(`${folder}/choices.json`, 'utf8')) as Golden
const records = golden.records.map(
  ({ id, question: text, choices, answer }, i): ChoiceRecord => ({
    id,
    text,
    choices,
    answer,
    file: 'choices.json',
    line: i + 1,
  }),
)

let model: Model
let tokenizer: Tokenizer
const scratch = mkdtempSync(join(tmpdir(), 'choices-'))
beforeAll(async () => {
  model = await loadModel(`${folder}/gpt2`, { head: 'causal-lm' })
  tokenizer = await loadTokenizer(`${folder}/gpt2`)
})
afterAll(() => rmSync(scratch, { recursive: true, force: true }))

describe('ranked choices', () => {
  it.each(golden.runs)(
    'equal those of the lm-evaluation-harness with the prompt $prompt and "$delimiter"',
    async (run) => {
      const { prompt, delimiter } = run
      const { metrics, predictions, truncatedRecords } = await evaluateRankedChoices(model, tokenizer, records, {
        prompt,
        delimiter,
        resamples: 50,
      })
      predictions.forEach(({ logProbabilities, greedy, choice, choicePerCharacter, choicePerByte }, i) => {
        logProbabilities.forEach((value, k) => {
          expect(Math.abs(value - run.logLikelihoods[i][k]), `record ${i}, choice ${k}`).toBeLessThan(2e-4)
        })
        expect(greedy, `record ${i}`).toEqual(run.greedy[i])
        const { answer } = records[i]
        expect([choice, choicePerCharacter, choicePerByte].map((one) => Number(one === answer))).toEqual(
          run.perRecord[i],
        )
      })
      expect(metrics.accuracy.value).toBeCloseTo(run.metrics.acc, 9)
      expect(metrics.accuracyPerCharacter.value).toBeCloseTo(run.metrics.acc_norm, 9)
      expect(metrics.accuracyPerByte.value).toBeCloseTo(run.metrics.acc_bytes, 9)
      expect(metrics.accuracy.low).toBeLessThan(metrics.accuracy.value)
      expect(truncatedRecords).toBeGreaterThan(0)
    },
  )

  it('do not depend on batches, and leave no tensors behind', async () => {
    const few = records.slice(0, 40)
    const live = liveTensors()
    const one = await evaluateRankedChoices(model, tokenizer, few, { batchTokens: 1, resamples: 5 })
    const many = await evaluateRankedChoices(model, tokenizer, few, { batchTokens: 4000, resamples: 5 })
    expect(many.predictions.map(({ choice }) => choice)).toEqual(one.predictions.map(({ choice }) => choice))
    many.predictions.forEach(({ logProbabilities }, i) => {
      logProbabilities.forEach((value, k) => {
        expect(value).toBeCloseTo(one.predictions[i].logProbabilities[k], 3)
      })
    })
    expect(liveTensors()).toBeLessThanOrEqual(live)
  })

  it('run a prompt once and have the scores of separate runs', () => {
    const groups = [
      { prompt: [5, 6, 7, 8, 9], continuations: [[10], [11, 12, 13], [14, 15]] },
      { prompt: [20], continuations: [[21, 22]] },
      { prompt: [30, 31], continuations: [[32], [33]] },
    ]
    const scored: ScoredModel = model
    const together = scoreContinuations(scored, groups)
    groups.forEach(({ prompt, continuations }, g) => {
      const apart = scoreBatch(
        scored,
        continuations.map((ids) => ({
          ids: [...prompt, ...ids.slice(0, -1)],
          places: ids.map((_, i) => prompt.length - 1 + i),
          labels: ids,
        })),
      )
      together[g].forEach(({ logProbability, correct }, c) => {
        expect(logProbability).toBeCloseTo(apart[c].logProbability, 4)
        expect(correct).toBe(apart[c].correct)
      })
    })
    // Single tokens need nothing but the prompts.
    const single = scoreContinuations(scored, [{ prompt: [5, 6, 7, 8, 9], continuations: [[10]] }])
    expect(single[0][0].logProbability).toBeCloseTo(together[0][0].logProbability, 5)
    expect(scoreContinuations(scored, [])).toEqual([])
  })

  it('are a task of `evaluate`, with predictions as lines', async () => {
    const [data, file] = [join(scratch, 'data.jsonl'), join(scratch, 'said.jsonl')]
    writeFileSync(data, golden.records.map((record) => `${JSON.stringify(record)}\n`).join(''))
    const columns = ['--settings.text', 'question', '--settings.label', 'answer', '--settings.id', 'id']
    const argv = ['evaluate', '--model', `${folder}/gpt2`, '--task', 'ranked-choices', '--data', data, ...columns]
    const { code, stdout } = await runHere([...argv, '--predictions', file, '--json'])
    expect(code).toBe(0)
    const result = JSON.parse(stdout)
    expect(result.metrics.accuracy.value).toBeCloseTo(golden.runs[0].metrics.acc, 9)
    expect(result).toMatchObject({ records: 120, mainMetric: 'accuracy' })
    const said = readFileSync(file, 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(said.map(({ id }) => id)).toEqual(golden.records.map(({ id }) => id))
    const shown = await runHere(argv)
    expect(shown.stdout).toMatch(/accuracyPerCharacter +0\.34\d\d {2}\[/)
    const wrong = await runHere([...argv.map((word) => word.replace('gpt2', 'bert'))])
    expect([wrong.code, wrong.stderr]).toEqual([2, expect.stringMatching(/error: .*causal/)])
  })

  it('are refused for other models and records without choices', async () => {
    const long = { ...records[0], choices: ['A', 'was '.repeat(80)] }
    await expect(evaluateRankedChoices(model, tokenizer, [long])).rejects.toThrow(
      /choices\.json.*Expected choices of 1 to 32/s,
    )
    await expect(evaluateRankedChoices(model, tokenizer, records, { prompt: 'Q:' })).rejects.toThrow(
      /Expected \{text\}/,
    )
    await expect(evaluateRankedChoices(model, tokenizer, records, { maxLength: 64 })).rejects.toThrow(/at most 32/)
    const unknown = [{ ...records[0], answer: undefined }]
    await expect(evaluateRankedChoices(model, tokenizer, unknown)).rejects.toThrow(/without/)
  })
})
