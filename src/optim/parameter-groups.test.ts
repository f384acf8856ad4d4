// Groups of decay and of learning rate by the paths and shapes of parameters.
import { expect, it } from 'vitest'
import { parseConfig } from '../core/index.ts'
import { type Tensor, zeros } from '../tensor/index.ts'
import { createOptimizer, optimizerSchema, parameterGroups } from './index.ts'
import { parameterFacts } from './parameter-groups.ts'

const shapes: Record<string, number[]> = {
  'body.embedTokens.weight': [9, 4],
  'body.embedPositions.weight': [5, 4],
  'body.embeddingNorm.weight': [4],
  'body.embeddingProj.weight': [6, 4],
  'body.layers.0.attention.qProj.weight': [6, 6],
  'body.layers.0.attention.qProj.bias': [6],
  'body.layers.11.mlp.upProj.weight': [8, 6],
  'body.layers.11.mlpNorm.weight': [6],
  'body.finalNorm.weight': [6],
  'body.encoder.relativeBias.weight': [8, 2],
  'head.classifier.weight': [2, 6],
}
const parameters = new Map<string, Tensor>(Object.entries(shapes).map(([path, shape]) => [path, zeros(shape)]))
const configOf = (options: object) => parseConfig(optimizerSchema, { type: 'adamw', ...options }, 'optimizer')
const decayed = (options: object) =>
  parameterGroups(configOf({ weightDecay: 0.1, ...options }), parameters)
    .filter(({ weightDecay }) => weightDecay === 0.1)
    .flatMap(({ paths }) => paths)
    .sort()
const matrices = Object.keys(shapes).filter((path) => shapes[path].length === 2)
const tables = ['body.embedTokens.weight', 'body.embedPositions.weight', 'body.encoder.relativeBias.weight']

it('decays matrices and embeddings, and neither biases nor norms, unless configured otherwise', () => {
  expect(decayed({})).toEqual([...matrices].sort())
  expect(decayed({ decayEmbeddings: false })).toEqual(matrices.filter((path) => !tables.includes(path)).sort())
  expect(decayed({ decayVectors: true })).toEqual(Object.keys(shapes).sort())
  expect(parameterGroups(configOf({ weightDecay: 0 }), parameters)).toHaveLength(1)
})

it('names every parameter once', () => {
  const groups = parameterGroups(configOf({ layerDecay: 0.5 }), parameters)
  expect(groups.flatMap(({ paths }) => paths).sort()).toEqual(Object.keys(shapes).sort())
  expect(createOptimizer(configOf({ layerDecay: 0.5 }), parameters).groups).toEqual(groups)
})

it('gives lower layers a smaller learning rate', () => {
  const scales = (options: object) =>
    new Map(
      parameterGroups(configOf({ layerDecay: 0.5 }), parameters, options).flatMap(({ paths, learningRateScale }) =>
        paths.map((path) => [path, learningRateScale] as const),
      ),
    )
  const plain = scales({})
  expect(plain.get('head.classifier.weight')).toBe(1)
  expect(plain.get('body.finalNorm.weight')).toBe(1)
  expect(plain.get('body.layers.11.mlpNorm.weight')).toBe(0.5)
  expect(plain.get('body.layers.0.attention.qProj.bias')).toBe(0.5 ** 12)
  for (const path of ['body.embedTokens.weight', 'body.embeddingNorm.weight', 'body.embeddingProj.weight'])
    expect(plain.get(path), path).toBe(0.5 ** 13)
  const own = scales({ layerOf: (path: string) => (path.startsWith('head') ? 0 : undefined), numLayers: 3 })
  expect(own.get('head.classifier.weight')).toBe(0.125)
  expect(own.get('body.layers.0.attention.qProj.bias')).toBe(1)
  expect(() => scales({ numLayers: 2 })).toThrow(/Expected layers below 2 for `layerOf`, got 11/)
})

it('treats matrices inside layers as hidden ones, or those of `isMatrixOfHiddenLayer`', () => {
  const hidden = (options = {}) =>
    [...parameterFacts(parameters, options).values()].filter((fact) => fact.hiddenMatrix).map(({ path }) => path)
  expect(hidden()).toEqual(['body.layers.0.attention.qProj.weight', 'body.layers.11.mlp.upProj.weight'])
  expect(hidden({ isMatrixOfHiddenLayer: (path: string) => path.startsWith('head') })).toEqual([
    'head.classifier.weight',
  ])
  expect(() => hidden({ isMatrixOfHiddenLayer: () => true })).toThrow(/Expected two dimensions/)
  const { tensors } = createOptimizer(parseConfig(optimizerSchema, { type: 'muon' }, 'optimizer'), parameters).state()
  const momenta = [...tensors.keys()].filter((key) => key.endsWith('/momentum')).map((key) => key.slice(0, -9))
  expect(momenta).toEqual(hidden())
})
