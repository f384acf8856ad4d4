import { describe, expect, it } from 'vitest'
import { checkBestMetric, type MeasuredRun } from './loop-setup.ts'

/** A run that measures an F1 score, which is registered, and a threshold of which neither more nor less is better. */
const runWith = (best: string, known: readonly string[] = ['bestF1']): MeasuredRun => ({
  recipe: { keep: { last: 2, best }, evaluate: { steps: 2 } },
  evaluate: async () => ({}),
  metrics: { known, measure: async () => ['bestF1', 'bestF1Threshold'] },
})

describe('keep.best', () => {
  it('is accepted for a metric of which higher or lower is better', async () => {
    await expect(checkBestMetric(runWith('bestF1'))).resolves.toBeUndefined()
    await expect(checkBestMetric(runWith('bestF1', []))).resolves.toBeUndefined()
  })

  it.each([[['bestF1']], [['bestF1', 'bestF1Threshold']]])(
    'is refused for one without a direction, whether it is known (%j) or measured',
    async (known) => {
      await expect(checkBestMetric(runWith('bestF1Threshold', known))).rejects.toThrow(
        'Expected a metric for `keep.best` of which higher or lower is better (bestF1), got bestF1Threshold. Choose one of them;',
      )
    },
  )

  it('suggests no metric without a direction for a mistyped name', async () => {
    await expect(checkBestMetric(runWith('bestF'))).rejects.toThrow(
      'Expected a metric of this run for `keep.best` (bestF1), got bestF. Did you mean `bestF1`?',
    )
  })
})
