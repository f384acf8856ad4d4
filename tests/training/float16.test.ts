// Training in float16 with loss scaling, on the strict device: losses and scales of PyTorch's GradScaler (golden/loss-scaling.json, by
// make-loss-scaling.py), skipped steps, resumed loops, several processes, and what is refused.
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { NativeError, parseConfig } from '../../src/core/index.ts'
import type { ProcessGroup } from '../../src/distributed/index.ts'
import { buildModel, type ModelDefinition, models } from '../../src/models/index.ts'
import { resolvePretraining } from '../../src/runs/pretrain/pretrain.ts'
import { enableStrictDevice, Generator, keep, scope, type Tensor, tensor } from '../../src/tensor/index.ts'
import type { StepEvent } from '../../src/tracking/index.ts'
import { expectBackwardUpdates, type LoopState, type TrainingRun, train } from '../../src/training/index.ts'
import { runStateSchema } from '../../src/training/snapshot.ts'
import { scalingRun, scalingSettings } from './loss-scaling-run.ts'
import { eventsOf, type Kind, kinds, lossesOf, modelOf, ofType, runOf } from './small-loop.ts'

enableStrictDevice()

const golden = JSON.parse(readFileSync(new URL('golden/loss-scaling.json', import.meta.url), 'utf8')) as {
  steps: { loss: number; scale: number; norm: number | null }[]
}

const runIn = (kind: Kind, precision: string, input: object = {}, device = 'strict') => {
  const model = modelOf(kind)
    .to({ device, dtype: precision as 'float16' })
    .requireGrad(true)
  return runOf(kind, { budget: { steps: 8 }, precision, ...input }, { model, more: { device } })
}
const scaleOf = ({ metrics }: StepEvent) => metrics?.lossScale
const valuesOf = ({ trainable, optimizer }: TrainingRun<never>) =>
  [...trainable.parameters.values(), ...optimizer.weights.values(), ...optimizer.state().tensors.values()].map((one) =>
    one.detach().to({ device: 'cpu', dtype: 'float32' }).toArray(),
  )

it("has losses, norms and scales of PyTorch's GradScaler over 20 steps, four of which overflow", async () => {
  const steps = ofType(await eventsOf(scalingRun('strict')), 'step')
  expect(steps.map(scaleOf)).toEqual(golden.steps.map(({ scale }) => scale))
  expect(golden.steps.filter(({ norm }) => norm === null)).toHaveLength(4)
  expect(steps.at(-1)?.metrics?.skippedSteps).toBe(4)
  if (process.env.TUNESMITH_SHOW !== undefined)
    console.log(
      'largest relative difference',
      Math.max(...golden.steps.map(({ loss }, i) => Math.abs(steps[i].loss / loss - 1))),
    )
  for (const [i, { loss, norm }] of golden.steps.entries()) {
    expect(Math.abs(steps[i].loss / loss - 1)).toBeLessThan(2e-3)
    if (norm === null) expect(Number.isFinite(steps[i].gradientNorm)).toBe(false)
    else expect(Math.abs(steps[i].gradientNorm / norm - 1)).toBeLessThan(1e-2)
  }
})

describe.each(kinds)('%s', (kind) => {
  it('trains as in float32, and shows the loss without its scale', async () => {
    const wide = lossesOf(await eventsOf(runIn(kind, 'float32')))
    const run = runIn(kind, 'float16')
    const narrow = lossesOf(await eventsOf(run))
    expect(narrow).toHaveLength(8)
    for (const [i, loss] of narrow.entries()) expect(Math.abs(loss / wide[i] - 1)).toBeLessThan(5e-3)
    for (const weight of run.optimizer.weights.values()) expect(weight.dtype).toBe('float32')
    for (const parameter of run.trainable.parameters.values()) expect(parameter.dtype).toBe('float16')
  })

  it('sums micro-batches in float32', async () => {
    const whole = lossesOf(await eventsOf(runIn(kind, 'float16')))
    const parts = lossesOf(await eventsOf(runIn(kind, 'float16', { batch: { sequences: 4, microTokens: 64 } })))
    for (const [i, loss] of parts.entries()) expect(Math.abs(loss / whole[i] - 1)).toBeLessThan(3e-3)
  })
})

it('skips a step that overflows: weights, masters and optimizer state stay as they are', async () => {
  const run = runIn('gpt2', 'float16', { budget: { steps: 2 }, lossScale: { initial: 2 ** 40 } })
  const before = valuesOf(run)
  const events = await eventsOf(run)
  expect(valuesOf(run)).toEqual(before)
  expect(run.optimizer.state().step).toBe(0)
  expect(ofType(events, 'step').map(scaleOf)).toEqual([2 ** 40, 2 ** 39])
  const messages = ofType(events, 'incident').map(({ kind, step, message }) => `${kind} ${step} ${message}`)
  expect(messages[1]).toBe(
    `overflow 2 Gradients overflowed in float16: the step was skipped, and the loss scale is now ${2 ** 38} (2 skipped so far).`,
  )
})

it('ends with one line where no scale helps', async () => {
  const run = runIn('gpt2', 'float16', { lossScale: { initial: 4 } })
  const { loss } = run.trainable.objective
  run.trainable.objective.loss = (...given) => {
    const found = loss.apply(run.trainable.objective, given)
    // A finite loss with infinite gradients.
    const terms = found.terms.map((term) => ({
      ...term,
      sum: term.sum.add(term.sum.mul(1e30).sub(term.sum.mul(1e30).detach())),
    }))
    return { ...found, terms }
  }
  const failed = eventsOf(run)
  await expect(failed).rejects.toThrow(NativeError)
  await expect(failed).rejects.toThrow(/^Training stopped in step 3: .* the loss scale is 1, /)
  expect(run.optimizer.state().step).toBe(0)
})

it('goes on with the same bits from a saved state, its scale and counters included', async () => {
  const input = { lossScale: { initial: 2 ** 22, growthInterval: 2 }, budget: { steps: 10 } }
  const whole = runIn('gpt2', 'float16', input)
  const all = ofType(await eventsOf(whole), 'step')
  const first = runIn('gpt2', 'float16', { ...input, budget: { steps: 5 } })
  let saved: LoopState | undefined
  const events = train({ ...first, save: async (state) => String((saved = state).step) })
  while ((await events.next()).done !== true);
  const stored = JSON.parse(JSON.stringify({ ...saved, optimizerStep: 0, averageUpdates: 0 }))
  const { optimizerStep: _, averageUpdates: __, ...state } = parseConfig(runStateSchema, stored, 'state')
  expect(state.lossScale?.skipped).toBeGreaterThan(0)
  const second = runIn('gpt2', 'float16', input)
  second.trainable.model.loadState(first.trainable.model.parameters())
  second.optimizer.loadState(first.optimizer.state())
  const rest = ofType(await eventsOf({ ...second, state }), 'step')
  expect(rest.map(({ loss }) => loss)).toEqual(all.slice(5).map(({ loss }) => loss))
  expect(rest.map(scaleOf)).toEqual(all.slice(5).map(scaleOf))
  expect(valuesOf(second)).toEqual(valuesOf(whole))
})

it('updates within the backward pass in two passes, and not in one, which could skip nothing', async () => {
  const input = { lossScale: { initial: 2 ** 22 }, batch: { sequences: 4 } }
  const after = runIn('gpt2', 'float16', input)
  const within = runIn('gpt2', 'float16', { ...input, updateInBackward: 'two-pass' })
  const [one, two] = [ofType(await eventsOf(after), 'step'), ofType(await eventsOf(within), 'step')]
  expect(two.map(scaleOf)).toEqual(one.map(scaleOf))
  expect(two.at(-1)?.metrics?.skippedSteps).toBeGreaterThan(0)
  for (const [i, { loss }] of two.entries()) expect(loss).toBeCloseTo(one[i].loss, 3)
  const { optimizer, settings, trainable } = runIn('gpt2', 'float16', {
    ...{ updateInBackward: 'one-pass', maxGradientNorm: 0, onNonFinite: 'stop' },
  })
  expect(() => expectBackwardUpdates(settings, trainable, { optimizer, processes: 1 })).toThrow(
    /^`updateInBackward` one-pass cannot skip a step whose gradients overflow float16 .* choose two-pass/,
  )
})

it.each(Object.keys(models))('%s: hidden states and gradients in float16 are near those in float32', (type) => {
  const definition = models[type as keyof typeof models] as ModelDefinition
  const config = definition.adjust(definition.presets.test, {})
  const [head] = Object.keys(definition.heads(config)) as Parameters<typeof buildModel>[2][]
  const compute = (dtype: 'float32' | 'float16') =>
    scope(() => {
      const model = buildModel(definition, config, head)
      model.initialize({ std: 0.05, generator: new Generator(3) })
      model.to({ device: 'strict', dtype }).requireGrad(true).eval()
      const ids = tensor([[5, 6, 7, 8, 9]], { dtype: 'int64', device: 'strict' })
      const inputs = 'decoder' in model.body ? { inputIds: ids, decoderInputIds: ids } : { inputIds: ids }
      const { hidden } = model.bodyForward(inputs)
      expect(hidden.dtype).toBe(dtype)
      const loss = hidden.to('float32').square().mean()
      loss.mul(1024).backward()
      const grads = [...model.parameters()].flatMap(([path, { grad }]) =>
        grad === undefined ? [] : [[path, grad.to({ dtype: 'float32', device: 'cpu' }).toFloat32Array()] as const],
      )
      return { loss: loss.item(), grads: new Map(grads) }
    })
  const [wide, narrow] = [compute('float32'), compute('float16')]
  expect(Math.abs(narrow.loss / wide.loss - 1)).toBeLessThan(5e-3)
  expect([...narrow.grads.keys()]).toEqual([...wide.grads.keys()])
  expect(narrow.grads.size).toBeGreaterThan(2)
  let [difference, size] = [0, 0]
  for (const [path, values] of wide.grads)
    for (const [i, value] of values.entries()) {
      difference += ((narrow.grads.get(path)?.[i] ?? Number.NaN) - value) ** 2
      size += value ** 2
    }
  expect(Math.sqrt(difference / size)).toBeLessThan(2e-2)
})

it('on the CPU is refused with the reason and the remedy', async () => {
  const recipe = { data: 'shards', tokenizer: 'tokenizer', out: 'run', model: { type: 'gpt2' }, precision: 'float16' }
  await expect(resolvePretraining({ ...recipe, device: 'cpu', objective: { type: 'causal-lm' } })).rejects.toThrow(
    /^Expected bfloat16 or float32 for `precision` on the CPU, got float16, which .* Set it to bfloat16\.$/,
  )
  await expect(eventsOf(runIn('gpt2', 'float16', {}, 'cpu'))).rejects.toThrow(/Expected float32 or bfloat16/)
})

it('a loss scale without float16 is refused, as it has no effect', async () => {
  const recipe = { data: 'shards', tokenizer: 'tokenizer', out: 'run', model: { type: 'gpt2' }, lossScale: {} }
  await expect(resolvePretraining({ ...recipe, objective: { type: 'causal-lm' } })).rejects.toThrow(
    '`lossScale` has no effect with float32 as `precision`: remove it, or set `precision` to float16.',
  )
})

/** Two places of a group in one process: what both have begun is summed. */
const pairOfGroups = (): ProcessGroup[] => {
  const waiting = new Map<string, { values: unknown[]; done: (() => void)[] }>()
  const meet = async <Value>(name: string, rank: number, value: Value): Promise<Value[]> => {
    const own = waiting.get(name) ?? { values: [], done: [] }
    waiting.set(name, own)
    own.values[rank] = value
    if (own.done.length === 1) {
      own.done[0]()
      waiting.delete(name)
    } else await new Promise<void>((resolve) => own.done.push(resolve))
    return own.values as Value[]
  }
  return [0, 1].map((rank) => {
    let calls = 0
    let sums = 0
    const names = new Map<Tensor, string>()
    const gather = <Value>(value: Value) => meet(`gather ${calls++}`, rank, value)
    return {
      ...{ rank, size: 2, members: ['a', 'b'], first: rank === 0, bucketBytes: 1e6, overlaps: false },
      gather,
      most: async (value: number) => Math.max(...(await gather(value))),
      beginSum_(flat: Tensor) {
        names.set(flat, `sum ${sums++}`)
        return flat
      },
      async arrived(begun: Tensor) {
        const name = names.get(begun) as string
        const copy = keep(begun.clone())
        const both = await meet(name, rank, copy)
        begun.copy_(both[0]).add_(both[1])
        await meet(`${name} read`, rank, 0)
        copy.free()
        return begun.view([-1])
      },
    } as unknown as ProcessGroup
  })
}

it('processes decide alike: what overflows in one is skipped in all, with the losses of one process', async () => {
  // Scales are powers of two, so float32 has the same bits with and without one, until a gradient overflows.
  const runWith = (more: object): TrainingRun<never> => {
    const model = modelOf('gpt2').to({ device: 'cpu' }).requireGrad(true)
    const run = runOf('gpt2', { budget: { steps: 6 } }, { model, more: { device: 'cpu', ...more } })
    return { ...run, state: { ...run.state, lossScale: { scale: 2 ** 130, sound: 0, skipped: 0 } } }
  }
  const alone = ofType(await eventsOf(runWith({})), 'step')
  const [first, second] = await Promise.all(
    pairOfGroups().map(async (group) => ofType(await eventsOf(runWith({ group })), 'step')),
  )
  const skipped = first.at(-1)?.metrics?.skippedSteps as number
  expect(skipped).toBeGreaterThan(0)
  expect(skipped).toBeLessThan(6)
  expect(second.map(scaleOf)).toEqual(first.map(scaleOf))
  expect(first.map(scaleOf)).toEqual(alone.map(scaleOf))
  for (const [i, { loss }] of alone.entries()) expect(first[i].loss).toBeCloseTo(loss, 5)
})

it('scales change by the settings of the golden run', () => {
  const { initial, growthInterval } = scalingSettings.lossScale
  expect(golden.steps[0].scale).toBe(initial)
  expect(golden.steps[4 + growthInterval].scale).toBe(2 * golden.steps[4].scale)
})
