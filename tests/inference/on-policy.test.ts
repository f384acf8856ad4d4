// Log-probabilities recorded while sampling against those of a forward pass as in training: with `setBatchInvariant` they
// are the same bits, whatever the rows, the parts of prompts, the stored prefixes, padding, packing and adapters are.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { adapterRouting, adaptersOf, applyAdapter } from '../../src/adapters/index.ts'
import { GenerationScheduler, type SchedulerOptions } from '../../src/generation/index.ts'
import { buildModel, LanguageHead, type Model, models, quantizeWeights } from '../../src/models/index.ts'
import { Generator, noGrad, scope, setBatchInvariant, Tensor, tokenLogProbs } from '../../src/tensor/index.ts'

const build = (type: 'gpt2' | 'llama' | 'qwen3', more: object = {}): Model => {
  const definition = models[type] as never as (typeof models)['gpt2']
  const config = definition.config.parse({ ...definition.presets.test, vocabSize: 300, maxPositions: 128, ...more })
  return buildModel(definition as never, config, 'causal-lm').initialize({ std: 0.2, generator: new Generator(5) })
}

const withLora = (model: Model, name = 'policy', rank = 3): Model => {
  applyAdapter(model, { type: 'lora', rank }, { name })
  noGrad(() => {
    for (const tensor of adaptersOf(model).tensorsOf(name).values())
      tensor.copy_(tensor.add(tensor.clone().normal_(0, 0.2, { generator: new Generator(rank) })))
  })
  return model
}

const quantised = (model: Model): Model => {
  quantizeWeights(model, 'int8')
  return model
}

const temperature = 0.9
const prompts = [1, 4, 19, 40, 33, 2].map((length, i) => Array.from({ length }, (_, t) => (t * 7 + i * 31) % 300))

interface Row {
  ids: number[]
  promptTokens: number
}

const int64 = (values: readonly number[], shape?: number[]) =>
  Tensor.from(BigInt64Array.from(values, BigInt), shape === undefined ? {} : { shape })

/** Log-probabilities of each row's new tokens, by one forward pass over all rows. */
const trained = (model: Model, rows: readonly Row[], layout: 'packed' | 'left' | 'right'): number[][] =>
  noGrad(() =>
    scope(() => {
      const { head } = model
      if (!(head instanceof LanguageHead)) throw new Error('no language head')
      const longest = Math.max(...rows.map(({ ids }) => ids.length))
      const pads = rows.map(({ ids }) => longest - ids.length)
      const starts = [0]
      for (const { ids } of rows) starts.push(starts[starts.length - 1] + ids.length)
      const row = ({ ids }: Row, i: number) => {
        const pad = Array<number>(pads[i]).fill(0)
        return layout === 'left' ? [...pad, ...ids] : [...ids, ...pad]
      }
      const shape = [rows.length, longest]
      const padded = (of: (row: Row, i: number) => number[]) => int64(rows.flatMap(of), shape)
      const inputs =
        layout === 'packed'
          ? {
              inputIds: int64(
                rows.flatMap(({ ids }) => ids),
                [1, starts[rows.length]],
              ),
              starts: int64(starts),
            }
          : {
              inputIds: padded(row),
              attentionMask: padded((one, i) => row({ ...one, ids: one.ids.map(() => 1) }, i)),
              positionIds: padded((one, i) => row({ ...one, ids: one.ids.map((_, t) => t) }, i)),
            }
      const hidden = head.prepare(model.bodyForward(inputs).hidden)
      return rows.map(({ ids, promptTokens }, i) => {
        const count = ids.length - promptTokens
        const from = promptTokens - 1 + (layout === 'left' ? pads[i] : 0)
        const own =
          layout === 'packed'
            ? hidden.narrow(1, starts[i] + from, count)
            : hidden.narrow(0, i, 1).narrow(1, from, count)
        const targets = int64(ids.slice(promptTokens), [1, count])
        const [logProbs] = tokenLogProbs(own, head.lmHead.weight, head.lmHead.bias ?? null, targets, { temperature })
        return Array.from(logProbs.toFloat32Array())
      })
    }),
  )

describe.each<[string, () => Model]>([
  ['gpt2', () => build('gpt2')],
  ['llama', () => build('llama')],
  ['llama of odd sizes', () => build('llama', { hiddenSize: 36, intermediateSize: 50, headDim: 10 })],
  ['qwen3', () => build('qwen3')],
  ['llama with LoRA', () => withLora(build('llama'))],
  ['gpt2 in int8', () => quantised(build('gpt2'))],
])('sampling with %s', (_, make) => {
  beforeAll(() => setBatchInvariant(true))
  afterAll(() => setBatchInvariant(false))

  it('records the log-probabilities of the training forward, to the bit', async () => {
    const model = make()
    const variants: SchedulerOptions[] = [
      { maxRows: 1 },
      { maxRows: 4, prefillTokens: 5, prefixCacheBytes: 1e6 },
      { maxRows: 70 },
    ]
    const all: { ids: number[]; logProbs: number[] }[][] = []
    for (const variant of variants) {
      const scheduler = new GenerationScheduler(model, variant)
      const options = { sample: true, seed: 2, temperature, maxNewTokens: 9, numReturnSequences: 4 }
      // The second time with prefixes of the first.
      for (let turn = 0; turn < 2; turn++) {
        const groups = prompts.map((prompt) => scheduler.submitGroup({ prompt, options, logProbs: 'model' }))
        const results = await Promise.all(groups.flat().map(({ result }) => result))
        all.push(results.map(({ ids, logProbs = [] }) => ({ ids, logProbs })))
      }
      scheduler.free()
    }
    for (const results of all.slice(1)) expect(results).toEqual(all[0])
    const rows = all[0].map(({ ids }, i) => {
      const prompt = prompts[Math.floor(i / 4)]
      return { ids: [...prompt, ...ids], promptTokens: prompt.length }
    })
    const recorded = all[0].map(({ logProbs }) => logProbs)
    for (const layout of ['packed', 'left', 'right'] as const) expect(trained(model, rows, layout)).toEqual(recorded)
    expect(trained(model, rows.slice(3, 4), 'packed')).toEqual(recorded.slice(3, 4))
  })
})

describe('adapters in one batch', () => {
  beforeAll(() => setBatchInvariant(true))
  afterAll(() => setBatchInvariant(false))

  it('have the log-probabilities of each adapter alone, to the bit', async () => {
    const model = withLora(withLora(build('llama')), 'other', 20)
    const bank = adaptersOf(model)
    bank.activate([])
    const scheduler = new GenerationScheduler(model, { adapters: adapterRouting(model), maxRows: 7 })
    const names = ['policy', null, 'other']
    const options = { sample: true, seed: 2, temperature, maxNewTokens: 8 }
    const handles = prompts.flatMap((prompt) =>
      names.map((adapter) => scheduler.submit({ prompt, options, adapter, logProbs: 'model' })),
    )
    const results = await Promise.all(handles.map(({ result }) => result))
    scheduler.free()
    for (const [i, name] of names.entries()) {
      bank.activate(name ?? [])
      const own = prompts.map((prompt, p) => ({ ...results[p * names.length + i], prompt }))
      const rows = own.map(({ ids, prompt }) => ({ ids: [...prompt, ...ids], promptTokens: prompt.length }))
      expect(trained(model, rows, 'packed')).toEqual(own.map(({ logProbs }) => logProbs))
    }
  })
})
