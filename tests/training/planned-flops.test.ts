// Operations that a plan counts: against PyTorch's FlopCounterMode for every architecture (golden/flops.json, written by make-flops.py),
// and against the costs that papers state for their pretraining.
import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { buildModel, type ModelDefinition, models } from '../../src/models/index.ts'
import { linearCrossEntropy, notePhase, ones, type Plan, plan, Tensor } from '../../src/tensor/index.ts'
import { flopModels, inputShape } from './flop-models.ts'

const golden = JSON.parse(readFileSync(new URL('golden/flops.json', import.meta.url), 'utf8')) as {
  rows: number
  tokens: number
  flops: Record<string, { forward: number; backward: number }>
}

const plainFlops = ({ operations }: Plan<unknown>, phase?: string): number =>
  operations.reduce((sum, one) => sum + (phase === undefined || one.phase === phase ? one.plainFlops : 0), 0)

const idsOf = (rows: number, tokens: number, id = 9) =>
  Tensor.from(new BigInt64Array(rows * tokens).fill(BigInt(id)), { shape: [rows, tokens] })

describe('operations are those of FlopCounterMode', () => {
  test('the golden file has every architecture', () => {
    expect(Object.keys(golden.flops).sort()).toEqual(Object.keys(models).sort())
    expect(golden).toMatchObject(inputShape)
  })

  test.each(Object.entries(flopModels()))('%s', async (type, { config }) => {
    const definition = models[type as keyof typeof models] as unknown as ModelDefinition
    const counted = await plan(() => {
      const body = definition.build(config).requireGrad(true)
      const inputIds = idsOf(golden.rows, golden.tokens)
      notePhase('forward')
      const { hidden } = body.forward({
        inputIds,
        attentionMask: ones([golden.rows, golden.tokens]),
        decoderInputIds: inputIds,
      })
      const sum = hidden.sum()
      notePhase('backward')
      sum.backward()
    })
    expect({ forward: plainFlops(counted, 'forward'), backward: plainFlops(counted, 'backward') }).toEqual(
      golden.flops[type],
    )
  })
})

interface Published {
  source: string
  model: string
  config: object
  /** Tokens of a sequence, and of the whole training. */
  length: number
  tokens: number
  flops: number
}

const gpt = (numLayers: number, hiddenSize: number, numHeads: number) => ({
  numLayers,
  hiddenSize,
  numHeads,
  vocabSize: 50257,
  maxPositions: 2048,
})
const bert = (numLayers: number, hiddenSize: number, numHeads: number) => ({
  numLayers,
  hiddenSize,
  numHeads,
  intermediateSize: 4 * hiddenSize,
  vocabSize: 30522,
})
const llama = (sizes: [number, number, number, number, number], vocabSize = 32000) => {
  const [numLayers, hiddenSize, numHeads, numKvHeads, intermediateSize] = sizes
  return { numLayers, hiddenSize, numHeads, numKvHeads, intermediateSize, vocabSize, tiedEmbeddings: false }
}

const gpt3 = 'arXiv:2005.14165, table D.1'
const published: Record<string, Published> = {
  'GPT-3 175B': {
    source: gpt3,
    model: 'gpt2',
    config: gpt(96, 12288, 96),
    length: 2048,
    tokens: 300e9,
    flops: 3.14e23,
  },
  // The table counts six operations for each parameter and token, embeddings included: logits at every place.
  'BERT-base': { source: gpt3, model: 'bert', config: bert(12, 768, 12), length: 128, tokens: 250e9, flops: 1.64e20 },
  'BERT-large': { source: gpt3, model: 'bert', config: bert(24, 1024, 16), length: 128, tokens: 250e9, flops: 5.33e20 },
  // Epoch AI's database of models: six operations for each parameter and token.
  'Llama 2 7B': {
    source: 'arXiv:2307.09288, 6ND',
    model: 'llama',
    config: llama([32, 4096, 32, 32, 11008]),
    length: 4096,
    tokens: 2e12,
    flops: 8.4e22,
  },
  'Llama 2 70B': {
    source: 'arXiv:2307.09288, 6ND',
    model: 'llama',
    config: llama([80, 8192, 64, 8, 28672]),
    length: 4096,
    tokens: 2e12,
    flops: 8.4e23,
  },
  'Llama 3.1 405B': {
    source: 'arXiv:2407.21783, section 3.4',
    model: 'llama',
    config: llama([126, 16384, 128, 8, 53248], 128256),
    length: 8192,
    tokens: 15.6e12,
    flops: 3.8e25,
  },
  'Chinchilla 70B': {
    source: 'arXiv:2203.15556, table A9 and Gopher budget',
    model: 'gpt2',
    config: { ...gpt(80, 8192, 64), vocabSize: 32000 },
    length: 2048,
    tokens: 1.4e12,
    flops: 5.76e23,
  },
  'GPT-2 124M': {
    source: '6ND of the 10B tokens of llm.c, discussion 481',
    model: 'gpt2',
    config: { ...gpt(12, 768, 12), maxPositions: 1024 },
    length: 1024,
    tokens: 10e9,
    flops: 7.44e18,
  },
}

describe('costs of pretraining are those that were published, within 10 %', () => {
  test.each(Object.entries(published))('%s', async (_, { model: type, config, length, tokens, flops }) => {
    const definition = models[type as keyof typeof models] as unknown as ModelDefinition
    const counted = await plan(() => {
      const model = buildModel(definition, definition.adjust({}, config as never) as object, 'embedding').requireGrad(
        true,
      )
      const { hidden } = model.body.forward({ inputIds: idsOf(1, length) })
      const table = model.body.embedTokens.weight
      const [lossSum] = linearCrossEntropy(hidden, table, null, idsOf(1, length))
      lossSum.backward()
    })
    const all = counted.operations.reduce((sum, one) => sum + one.flops, 0) * (tokens / length)
    expect(Math.abs(all / flops - 1)).toBeLessThan(0.1)
  })
})
