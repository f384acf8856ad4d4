// Trains the last layers before the head, and the norm after them. @source arXiv:1911.03090
import { z } from 'zod'
import { ConfigError } from '../../core/index.ts'
import { adapterFields, defineAdapter } from '../adapter.ts'

const schema = z.strictObject({
  layers: z.int().min(1).default(2).describe('number of trained layers, counted from the last'),
  ...adapterFields,
})

const inLayer = /^(body\.(?:\w+\.)?)layers\.(\d+)\./

export const lastNLayers = defineAdapter({
  type: 'last-n-layers',
  source: 'arXiv:1911.03090',
  config: schema,
  learningRate: 2e-4,
  family: 'selective',
  trainsMatrices: true,
  plan: (model, { layers }) => {
    const paths = [...model.parameters().keys()]
    const found = paths.flatMap((path) => {
      const match = inLayer.exec(path)
      return match === null ? [] : [{ path, stack: match[1], index: Number(match[2]) }]
    })
    // The head reads the last stack, which is the decoder of an encoder-decoder.
    const stack = found.at(-1)?.stack ?? ''
    const own = found.filter((one) => one.stack === stack)
    const count = 1 + Math.max(-1, ...own.map(({ index }) => index))
    if (layers > count)
      throw new ConfigError(
        `Expected at most ${count} for \`adapter.layers\`, the number of layers of this ${model.definition.type}, got ${layers}.`,
      )
    const norm = paths.filter((path) => path.startsWith(`${stack}finalNorm.`))
    return {
      placements: [],
      trained: [...own.filter(({ index }) => index >= count - layers).map(({ path }) => path), ...norm],
    }
  },
})
