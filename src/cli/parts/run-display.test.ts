import { expect, it } from 'vitest'
import { describeEvent, renderRun } from './run-display.ts'

const evaluation = (metrics: Record<string, number>) =>
  describeEvent({ type: 'evaluation', time: '2026-01-01T00:00:00Z', step: 7, metrics, seconds: 1, best: false })

it('says a loss of one term once, and terms that differ', () => {
  expect(evaluation({ loss: 2, 'masked-lm': 2, perplexity: 7.389 })).toBe(
    'step 7: validation: loss 2, perplexity 7.389',
  )
  expect(evaluation({ loss: 3, words: 2, pairs: 1 })).toBe('step 7: validation: loss 3, words 2, pairs 1')
  expect(evaluation({ loss: Number.NaN, auc: Number.NaN })).toBe('step 7: validation: loss NaN, auc –')
  expect(evaluation({ accuracy: 0.5, f1Micro: 0.5 })).toBe('step 7: validation: accuracy 0.5, f1Micro 0.5')
})

it('shows no loss of a run that was stopped before its first step', () => {
  const result = { out: 'runs/a', model: 'runs/a/model', reason: 'interrupted', tokens: 0, seconds: 1 } as const
  const stopped = (steps: number, loss: number) => renderRun({ ...result, steps, loss, metrics: {}, warnings: [] })
  expect(stopped(0, Number.NaN)).toMatch(/^Stopped: 0 steps, 0 tokens, [\d.]+ s\.\nResume with: /)
  expect(stopped(1, 2)).toContain(', loss 2.\n')
})
