// The option `deterministic`: libtorch's deterministic algorithms in a run and not after it, with the same losses; and cuBLAS gets the
// workspaces that it needs for them before anything can use it.
import { afterAll, beforeAll, expect, it } from 'vitest'
import { finetune } from '../../src/runs/index.ts'
import { enableStrictDevice, isDeterministic, zeros } from '../../src/tensor/index.ts'
import type { TrainingEvent } from '../../src/tracking/index.ts'
import { makeSmallAlignment, type SmallAlignment } from '../alignment/small-alignment.ts'
import { lossesOf } from './small-loop.ts'

enableStrictDevice()

let small: SmallAlignment
beforeAll(async () => {
  small = await makeSmallAlignment()
  small.rows(
    'classes.jsonl',
    Array.from({ length: 64 }, (_, i) => ({ text: i % 2 ? `hi ${i}` : `ho ho ${i}`, label: i % 2 ? 'a' : 'b' })),
  )
})
afterAll(() => small.dispose())

const run = async (device: string, deterministic: boolean) => {
  const seen: boolean[] = []
  const events: TrainingEvent[] = []
  const recipe = {
    ...{ base: small.base, out: small.at(`${device}-${deterministic}`), device, deterministic },
    ...{ task: 'sequence-classification', data: small.at('classes.jsonl'), variant: 'full', batch: { sequences: 8 } },
    ...{ budget: { steps: 3 }, untrainedBaseline: false, learningRate: 0.003 },
    loss: function asked(_model: unknown, _batch: unknown, standard: () => unknown) {
      seen.push(isDeterministic())
      return standard()
    },
  }
  await finetune(recipe as unknown as Parameters<typeof finetune>[0], { onEvent: (event) => events.push(event) })
  expect(isDeterministic()).toBe(false)
  return { seen: [...new Set(seen)], losses: lossesOf(events) }
}

it.each(['cpu', 'strict'])('on %s it changes no loss, and ends with the run', async (device) => {
  const [plain, deterministic] = [await run(device, false), await run(device, true)]
  expect(plain.seen).toEqual([false])
  expect(deterministic.seen).toEqual([true])
  expect(deterministic.losses).toEqual(plain.losses)
})

it('cuBLAS has workspaces of a fixed size', () => {
  zeros([1]).free()
  expect(process.env.CUBLAS_WORKSPACE_CONFIG).toBe(':4096:8')
})
