// Keeps documents that a trained classifier finds like the good examples. Training and the model file: ../quality/.

import { z } from 'zod'
import { sha256 } from '../../core/index.ts'
import { loadQualityModel } from '../quality/index.ts'
import { defineFilter, drop, keep } from './filter.ts'

const config = z.strictObject({
  model: z.string().describe('the model file that trainQualityClassifier saved'),
  rule: z
    .enum(['threshold', 'pareto'])
    .default('threshold')
    .describe('threshold: keep at or above it; pareto: keep by chance as GPT-3 did, seldom when the score is low'),
  threshold: z.number().min(0).max(1).default(0.5).describe('smallest score that the rule threshold keeps'),
  alpha: z.number().positive().default(9).describe('shape of the Pareto distribution; larger is stricter'),
  label: z.boolean().default(true).describe('write `qualityScore` into the metadata'),
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

/** A draw of the Lomax distribution (numpy's pareto) that depends on the document's id alone. */
const paretoSample = (id: string, alpha: number): number => {
  const uniform = (Number.parseInt(sha256(id).slice(0, 12), 16) + 0.5) / 2 ** 48
  return uniform ** (-1 / alpha) - 1
}
