// The losses of a run do not depend on how its batches go through the model: micro-batches, padding, packing, recomputation. float32,
// dropout of everything that has it, ten steps of AdamW; bfloat16 follows within a bound.
import { describe, expect, it } from 'vitest'
import type { ExampleSource } from '../../src/training/index.ts'
import {
  eventsOf,
  kinds,
  largestDifference,
  lossesOf,
  modelOf,
  objectiveOf,
  packedSource,
  runOf,
} from './small-loop.ts'

interface Packed {
  ids: Uint32Array
  starts: readonly number[]
  labels?: Int32Array
  positions?: ArrayLike<number>
  originals?: ArrayLike<number>
}

/** The sequences of an example, each as one of its own: the same tokens, labels and masks. */
const split = (packed: Packed): Packed[] =>
  packed.starts.map((start, i) => {
    const end = packed.starts[i + 1] ?? packed.ids.length
    const single: Packed & { cut: number; trained?: number } = {
      ids: packed.ids.slice(start, end),
      starts: [0],
      cut: 0,
    }
    if (packed.labels !== undefined) {
      single.labels = packed.labels.slice(start, end)
      single.trained = single.labels.filter((label) => label !== -100).length
    }
    if (packed.positions !== undefined && packed.originals !== undefined) {
      const { positions, originals } = packed
      const mine = Array.from(positions, (_, at) => at).filter((at) => positions[at] >= start && positions[at] < end)
      single.positions = Int32Array.from(mine, (at) => positions[at] - start)
      single.originals = Int32Array.from(mine, (at) => originals[at])
    }
    return single
  })

const dropouts = {
  bert: { hiddenDropout: 0.2, attentionDropout: 0.2 },
  gpt2: { embeddingDropout: 0.2, hiddenDropout: 0.2, attentionDropout: 0.2 },
  llama: { attentionDropout: 0.2 },
}

describe.each(kinds)('%s', (kind) => {
  const losses = async (settings: object) =>
    lossesOf(await eventsOf(runOf(kind, settings, { model: modelOf(kind, dropouts[kind]) })))
  const lossesWithout = async (settings: object, source?: ExampleSource<never>) =>
    lossesOf(await eventsOf(runOf(kind, settings, { source })))
  let whole: number[] = []

  it('is the same every time, and with dropout another than without it', async () => {
    whole = await losses({})
    expect(whole).toHaveLength(10)
    const again = await losses({})
    expect(again).toEqual(whole)
    expect(largestDifference(await lossesWithout({}), whole)).toBeGreaterThan(1e-3)
  })

  it.each([
    ['micro-batches of one example', { batch: { sequences: 4, microTokens: 1 } }],
    ['micro-batches of two or three', { batch: { sequences: 4, microTokens: 100 } }],
    ['padding', { batch: { sequences: 4, padded: true } }],
    ['padding in micro-batches', { batch: { sequences: 4, padded: true, microTokens: 100 } }],
    ['one layer recomputed', { recompute: 1 }],
    ['all layers recomputed, in micro-batches', { recompute: 'all', batch: { sequences: 4, microTokens: 64 } }],
  ])('%s', async (_, settings) => {
    const others = await losses(settings)
    expect(largestDifference(others, whole)).toBeLessThan(1e-5)
  })

  it('packed documents as examples of their own', async () => {
    const rows = packedSource(objectiveOf(kind))
    const singles: ExampleSource<never> = {
      perEpoch: 3 * rows.perEpoch,
      example(position) {
        const parts = split(rows.example(Math.floor(position / 3)).example as Packed)
        expect(parts).toHaveLength(3)
        return { example: parts[position % 3] as never, cut: 0 }
      },
    }
    // Each with masks of its own, if it had dropout.
    const packed = await lossesWithout({})
    for (const padded of [false, true]) {
      const apart = await lossesWithout({ batch: { sequences: 12, padded } }, singles)
      expect(largestDifference(apart, packed)).toBeLessThan(1e-5)
    }
  })

  it('bfloat16 follows float32 within 1 % of the loss, also in micro-batches', async () => {
    const long = { budget: { steps: 40 } }
    const exact = await lossesWithout(long)
    expect(exact[39]).toBeLessThan(0.97 * exact[0])
    for (const microTokens of [8192, 64]) {
      const model = modelOf(kind)
      model.to({ dtype: 'bfloat16' })
      const rounded = lossesOf(
        await eventsOf(runOf(kind, { ...long, batch: { sequences: 4, microTokens } }, { model })),
      )
      expect(largestDifference(rounded, exact) / exact[39]).toBeLessThan(0.01)
      expect(largestDifference(rounded, exact)).toBeGreaterThan(0)
    }
  })
})
