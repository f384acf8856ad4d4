// The bias terms of the body are trained, and nothing else of it. @source arXiv:2106.10199
import { z } from 'zod'
import { ConfigError } from '../../core/index.ts'
import { adapterFields, defineAdapter } from '../adapter.ts'

const schema = z.strictObject({ ...adapterFields })

export const bitfit = defineAdapter({
  type: 'bitfit',
  source: 'arXiv:2106.10199',
  config: schema,
  learningRate: 2e-3,
  plan: (model) => {
    const trained = [...model.parameters().keys()].filter((path) => path.startsWith('body.') && path.endsWith('.bias'))
    if (trained.length === 0)
      throw new ConfigError(
        `Expected a body with bias terms for \`bitfit\`, got ${model.definition.type} without any. Choose another variant, such as ia3.`,
      )
    return { placements: [], trained }
  },
})
