// Quantised GGUF files on another device than the CPU, for which the strict device stands: matrices stay blocks there too, and texts
// and vectors are those of the CPU.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { adaptersOf, applyAdapter } from '../../src/adapters/index.ts'
import { loadModel, saveModel } from '../../src/checkpoint/index.ts'
import { exportModel } from '../../src/export/index.ts'
import { embedTexts } from '../../src/features/index.ts'
import { generate, generateMany } from '../../src/generation/index.ts'
import { loadForInference } from '../../src/inference/index.ts'
import {
  buildModel,
  type HeadType,
  keepPackedWeights,
  type Model,
  type ModelType,
  models,
} from '../../src/models/index.ts'
import { BlockMatrix, Linear } from '../../src/nn/index.ts'
import { enableStrictDevice, Generator, noGrad, Tensor } from '../../src/tensor/index.ts'
import { trainTokenizer } from '../../src/tokenizers/index.ts'

enableStrictDevice()
const devices = ['cpu', 'strict'] as const

const scratch = mkdtempSync(join(tmpdir(), 'gguf-devices-'))
afterAll(() => rmSync(scratch, { recursive: true, force: true }))
const words = join(scratch, 'words')

beforeAll(async () => {
  const text = 'The cat sat on the mat, and the dog ran after the cat. It is 1999.'
  const { files } = await trainTokenizer(
    Array(50).fill(text),
    { type: 'bpe', vocabSize: 290, minFrequency: 1 },
    { workers: 1 },
  )
  mkdirSync(words)
  for (const [file, content] of Object.entries(files)) writeFileSync(join(words, file), content)
})

/**
 * A folder with a small model of random weights. The layers change its large embeddings a little: inputs of products that lie between two
 * codes of int8 are rounded to either by the last bit of what came before, and layers that repeat nothing would spread that.
 */
const make = async (name: string, type: ModelType, changes: object, head: HeadType = 'causal-lm'): Promise<string> => {
  const definition = models[type] as (typeof models)['llama']
  const config = definition.adjust(definition.presets.test, { vocabSize: 300, maxPositions: 128, ...changes })
  const model = buildModel(definition as never, config, head).initialize({ std: 0.05, generator: new Generator(1) })
  noGrad(() => void model.body.embedTokens.weight.mul_(40))
  const folder = join(scratch, name)
  await saveModel(model.eval(), folder, { tokenizer: words })
  return folder
}

const written = async (folder: string, variants: readonly string[]): Promise<string[]> => {
  const to = variants.map((variant) => `gguf:${variant}`)
  const { files } = await exportModel({ model: folder, to, out: `${folder}-out`, prove: false })
  return files.filter(({ name }) => name.endsWith('.gguf')).map(({ name }) => join(`${folder}-out`, name))
}

const matrices = (model: Model): BlockMatrix[] =>
  [...model.body.modules()].flatMap(([, module]) =>
    module instanceof Linear && module.quantizedMatrix instanceof BlockMatrix ? [module.quantizedMatrix] : [],
  )

const logitsOf = (model: Model, device: string): Tensor =>
  noGrad(() => {
    const inputIds = Tensor.from([[5, 9, 200, 3, 77, 31, 8]], { dtype: 'int64', device })
    return model.forward({ inputIds }).logits.to({ device: 'cpu' })
  })

/** Difference of two tensors relative to the spread of the second. */
const apart = (a: Tensor, b: Tensor): number => a.sub(b).square().mean().sqrt().item() / b.std().item()

const prompts = [[5, 9, 200], [77], [31, 8, 4, 4, 120, 250]]

describe.each(['q8_0', 'q4_0', 'q4_k_m', 'q5_k_m'])('%s', (variant) => {
  it('stays in blocks, and gives the logits and texts of the CPU', async () => {
    const sizes = { hiddenSize: 256, intermediateSize: 512, numLayers: 2, numHeads: 4, numKvHeads: 2 }
    const folder = await make(variant, 'llama', { ...sizes, attentionBias: true, tiedEmbeddings: false })
    const [path] = await written(folder, [variant])
    const loaded = await Promise.all(devices.map((device) => loadForInference({ model: path, device })))
    const opened = loaded.map(({ model }) => model)
    const [here, there] = opened
    expect(matrices(there)).toHaveLength(14)
    expect(matrices(there).map(({ codes }) => codes.device)).toEqual(Array(14).fill('strict:0'))
    expect(there.parameterCount).toBe(here.parameterCount)
    const [own, theirs] = opened.map((model, i) => logitsOf(model, devices[i]))
    expect(apart(theirs, own)).toBeLessThan(1e-4)
    const { model: exact } = await loadForInference({ model: path, weights: 'unpacked', device: 'strict' })
    expect(matrices(exact)).toEqual([])
    // What inputs in float32 give is further away.
    expect(apart(logitsOf(exact, 'strict'), own)).toBeGreaterThan(2e-3)

    const options = { maxNewTokens: 12, eosTokenIds: [], padTokenId: 0 }
    const texts = await Promise.all(opened.map((model) => generate(model, undefined, prompts, options)))
    expect(texts[1].map(({ ids }) => ids)).toEqual(texts[0].map(({ ids }) => ids))
    const beside = keepPackedWeights(there)
    const many = await Promise.all(
      loaded.map(({ model, tokenizer }) => generateMany(model, tokenizer, prompts, options)),
    )
    beside()
    expect(many[1].map(({ ids }) => ids)).toEqual(many[0].map(({ ids }) => ids))

    // A model that comes back has the bits of the one that never left.
    there.to({ device: 'cpu' })
    expect(matrices(there).every(({ codes }) => codes.device === 'cpu')).toBe(true)
    expect(logitsOf(there, 'cpu').toFloat32Array()).toEqual(own.toFloat32Array())
  })
})

it.each([
  ['mixtral', 'causal-lm', { intermediateSize: 96, numExperts: 3 }],
  ['phi3', 'causal-lm', { intermediateSize: 96 }],
  ['gpt-neox', 'causal-lm', { intermediateSize: 96, numHeads: 2 }],
  ['modernbert', 'embedding', { intermediateSize: 96, numHeads: 2 }],
] as const)('a %s, whose matrices are parts of one tensor', async (type, head, changes) => {
  const folder = await make(type, type, { hiddenSize: 64, ...changes }, head)
  const [path] = await written(folder, ['q8_0'])
  const opened = await Promise.all(devices.map((device) => loadModel(path, { head, weights: 'packed', device })))
  expect(matrices(opened[1]).length).toBeGreaterThan(7)
  const [own, theirs] = opened.map((model, i) => logitsOf(model, devices[i]))
  expect(apart(theirs, own)).toBeLessThan(1e-4)
})

it('an encoder that is quantised while it is loaded', async () => {
  const folder = await make('bert', 'bert', { hiddenSize: 64, numHeads: 4 }, 'embedding')
  const texts = ['The cat sat on the mat.', 'It is 1999.', 'dog']
  const vectors = await Promise.all(
    devices.map(async (device) => {
      const { model, tokenizer } = await loadForInference(
        { model: folder, weights: 'q8_0', device },
        { head: 'embedding' },
      )
      expect(matrices(model).map(({ format }) => format)).toContain('Q8_0')
      return (await embedTexts(model, tokenizer, texts)).to({ device: 'cpu' })
    }),
  )
  expect(apart(vectors[1], vectors[0])).toBeLessThan(1e-4)
})

it('takes adapters on top', async () => {
  const sizes = { hiddenSize: 64, intermediateSize: 64, numHeads: 2, numKvHeads: 1 }
  const [path] = await written(await make('adapted', 'llama', sizes), ['q8_0'])
  const made = await Promise.all(
    devices.map(async (device) => {
      const { model } = await loadForInference({ model: path, device })
      applyAdapter(model, { type: 'lora', rank: 2, targets: ['qProj', 'downProj'] }, { name: 'a', seed: 1 })
      noGrad(() => {
        for (const tensor of adaptersOf(model).tensorsOf('a').values())
          tensor.normal_(0, 0.3, { generator: new Generator(2) })
      })
      const [{ ids }] = await generate(model.eval(), undefined, [[5, 9, 200]], { maxNewTokens: 8, eosTokenIds: [] })
      return { ids, logits: logitsOf(model, device) }
    }),
  )
  expect(made[1].ids).toEqual(made[0].ids)
  expect(apart(made[1].logits, made[0].logits)).toBeLessThan(1e-4)
})
