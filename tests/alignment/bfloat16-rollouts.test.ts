// Rollouts in bfloat16: sampling and training differ by rounding. The largest difference is measured for each rollout, and the ratio corrected.
import { afterAll, beforeAll, expect, it } from 'vitest'
import { align } from '../../src/runs/index.ts'
import type { TrainingEvent } from '../../src/tracking/index.ts'
import { away, sameBits, skippedAway } from '../device.ts'
import { makeSmallAlignment, type SmallAlignment } from './small-alignment.ts'

let small: SmallAlignment
let prompts: string
beforeAll(async () => {
  small = await makeSmallAlignment()
  prompts = small.rows(
    'prompts.jsonl',
    Array.from({ length: 20 }, (_, i) => ({ prompt: `${'hi '.repeat(1 + (i % 5))}${i}:` })),
  )
})
afterAll(() => small.dispose())

const run = async (precision: 'float32' | 'bfloat16', epochs = 2) => {
  const events: TrainingEvent[] = []
  const notes: string[] = []
  await align(
    {
      objective: 'grpo',
      base: small.base,
      data: prompts,
      validationShare: 0.3,
      rewards: ['repetition', 'length:cost=0.01'],
      rollout: { prompts: 6, answers: 6, maxNewTokens: 12, epochs },
      precision,
      out: small.at(`${precision}-${epochs}`),
      budget: { steps: 4 },
      learningRate: 1e-3,
      answers: { validation: 2, samples: 0 },
      untrainedBaseline: false,
    } as unknown as Parameters<typeof align>[0],
    { onEvent: (event) => events.push(event), onNote: (note) => notes.push(note) },
  )
  const rollouts = events.flatMap((event) => (event.type === 'rollout' ? [event.metrics] : []))
  const steps = events.flatMap((event) => (event.type === 'step' ? [event.metrics ?? {}] : []))
  return { rollouts, steps, notes: notes.join('\n') }
}

it('in bfloat16 every rollout has its largest difference, and every step the weights that correct it', async () => {
  const { rollouts, steps, notes } = await run('bfloat16')
  expect(notes).toMatch(/Sampling and training agree on \d+ tokens .* largest difference 0\.0\d+ nats/)
  expect([rollouts.length, steps.length]).toEqual([2, 4])
  for (const [i, { largestSamplingMismatch }] of rollouts.entries()) {
    // Three significant digits of a logit of this size.
    expect(largestSamplingMismatch).toBeGreaterThan(1e-4)
    expect(largestSamplingMismatch).toBeLessThan(0.5)
    for (const { samplingMismatch, importanceWeight, ratioDeviation } of steps.slice(2 * i, 2 * i + 2)) {
      expect(samplingMismatch).toBeGreaterThan(0)
      expect(samplingMismatch).toBeLessThan(largestSamplingMismatch)
      // The weight is p_training / p_sampling: its mean moves from 1 by no more than the largest ratio.
      expect(importanceWeight).not.toBe(1)
      expect(Math.abs(importanceWeight - 1)).toBeLessThan(Math.expm1(largestSamplingMismatch))
      expect(ratioDeviation).toEqual(expect.any(Number))
    }
    // The ratio is that of the policy's change alone: before the first update of a rollout there is none.
    expect(Math.abs(steps[2 * i].ratioDeviation)).toBeLessThan(largestSamplingMismatch)
  }
})

it('in bfloat16 a rollout that is trained on once is not scored by its policy again: each step has its largest difference', async () => {
  const { rollouts, steps } = await run('bfloat16', 1)
  expect([rollouts.length, steps.length]).toEqual([4, 4])
  for (const metrics of rollouts) expect(metrics).not.toHaveProperty('largestSamplingMismatch')
  for (const { samplingMismatch, largestSamplingMismatch, importanceWeight, ratio, ratioDeviation } of steps) {
    expect(largestSamplingMismatch).toBeGreaterThan(samplingMismatch)
    expect(largestSamplingMismatch).toBeLessThan(0.5)
    expect(importanceWeight).not.toBe(1)
    expect([ratio, ratioDeviation]).toEqual([1, 0])
  }
})

it.skipIf(away)(`in float32 nothing is corrected, since both agree${skippedAway(sameBits)}`, async () => {
  const { rollouts, steps, notes } = await run('float32')
  expect(notes).toMatch(/agree on \d+ tokens before the first step: largest difference 0 nats/)
  for (const metrics of rollouts) expect(metrics).not.toHaveProperty('largestSamplingMismatch')
  for (const metrics of steps) expect(metrics).not.toHaveProperty('importanceWeight')
})
