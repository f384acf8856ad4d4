// BitFit: trains the bias terms of the body only. @source arXiv:2106.10199
import { z } from 'zod'
import { ConfigError } from '../../core/index.ts'
import { adapterFields, defineAdapter } from '../adapter.ts'

const schema = z.strictObject({ ...adapterFields })

export const bitfit = defineAdapter({
  type: 'bitfit',
  source: 'arXiv:2106.10199',
  config: schema,
  learningRate: 2e-3,
  family: 'selective',
  plan: (model) => {
    const trained = [...model.parameters().keys()].filter((path) => path.startsWith('body.') && path.endsWith('.bias'))
    if (trained.length === 0)
      throw new ConfigError(
        `\`bitfit\` needs a body with bias terms, and ${model.definition.type} has none: choose another method, such as ia3.`,
      )
    return { placements: [], trained }
  },
})
