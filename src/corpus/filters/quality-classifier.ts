// Keeps documents that a trained classifier scores as good. Training and the model file are in ../quality/.

import { z } from 'zod'
import { sha256 } from '../../core/index.ts'
import { loadQualityModel } from '../quality/index.ts'
import { defineFilter, drop, keep } from './filter.ts'

const config = z.strictObject({
  model: z.string().describe('model file of trainQualityClassifier'),
  rule: z
    .enum(['threshold', 'pareto'])
    .default('threshold')
    .describe(
      'selection rule; threshold: by score; pareto: random as in GPT-3, with a lower probability for lower scores',
    ),
  threshold: z.number().min(0).max(1).default(0.5).describe('minimum score for the threshold rule'),
  alpha: z
    .number()
    .positive()
    .default(9)
    .describe('shape of the Pareto distribution for the pareto rule; larger is stricter'),
  label: z.boolean().default(true).describe('`qualityScore` in the metadata'),
})

export const qualityClassifier = defineFilter({
  type: 'quality-classifier',
  config,
  source: 'GPT-3 arXiv:2005.14165 appendix A; hashed n-grams and a linear model as in fastText arXiv:1607.01759',
  summary: 'Keeps documents that a classifier trained on good and bad examples scores as good.',
  reasons: ['low-quality'],
  async create(options) {
    const model = await loadQualityModel(options.model)
    return {
      apply({ id, text }) {
        const score = model.score(text)
        const limit = options.rule === 'threshold' ? options.threshold : 1 - paretoSample(id, options.alpha)
        if (options.rule === 'threshold' ? score < limit : !(score > limit)) return drop('low-quality', score)
        return options.label ? { keep: true, metadata: { qualityScore: Math.round(score * 1e4) / 1e4 } } : keep
      },
    }
  },
})

/** A sample of the Lomax distribution (numpy's pareto), seeded by the document's id. */
const paretoSample = (id: string, alpha: number): number => {
  const uniform = (Number.parseInt(sha256(id).slice(0, 12), 16) + 0.5) / 2 ** 48
  return uniform ** (-1 / alpha) - 1
}
