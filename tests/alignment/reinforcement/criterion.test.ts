// The criterion on small policies and critics: loss and gradients do not depend on how a batch goes through the models;
// policy, critic and reference on one frozen base do not disturb each other; masks hold for numerators and weights alike.
import { describe, expect, it } from 'vitest'
import { adaptersOf } from '../../../src/adapters/index.ts'
import {
  createCritic,
  type PolicyInput,
  policyCriterion,
  policyLosses,
  policySchema,
  policyTerms,
  type RolloutExample,
  rolloutEqualities,
  scoreCompletions,
  scoreValues,
} from '../../../src/alignment/index.ts'
import type { PolicyBatch } from '../../../src/alignment/reinforcement/policy-batch.ts'
import { policyLoss } from '../../../src/alignment/reinforcement/policy-terms.ts'
import { quantizeWeights } from '../../../src/models/index.ts'
import { withoutDropout } from '../../../src/runs/align/trained-policy.ts'
import { Generator, Tensor } from '../../../src/tensor/index.ts'
import { computeGradients } from '../../../src/training/index.ts'
import { testDevice } from '../../device.ts'
import { build } from '../../objectives/small-models.ts'
import { type CriticKind, inventedRollouts, policyAndCritic } from './rollouts.ts'

const full: PolicyInput = {
  loss: { type: 'ppo' },
  temperature: 0.7,
  maxTokens: 12,
  kl: { coefficient: 0.1 },
  entropy: 0.01,
  importance: { level: 'answer', cap: 1.1 },
  offPolicyThreshold: 0.1,
  highEntropyShare: 0.8,
}

type Parts = ReturnType<typeof policyAndCritic>

const prepareFor = async (
  parts: Parts,
  input: PolicyInput,
  examples: readonly RolloutExample[],
  { step = 0, padded = true } = {},
) => {
  const criterion = policyCriterion(policySchema.parse(input), { critic: parts.critic })
  const context = { model: parts.model, microTokens: 64, padded, step, position: 0, seed: 0 }
  return { criterion, prepared: (await criterion.prepare?.(examples, context)) ?? examples }
}

const gradientsOf = async (
  parts: Parts,
  input: PolicyInput,
  examples: readonly RolloutExample[],
  how: { padded?: boolean; recompute?: number; microTokens?: number } = {},
) => {
  const { criterion, prepared } = await prepareFor(parts, input, examples, how)
  const trainable = { model: parts.model, objective: criterion, parameters: parts.parameters }
  const options = {
    microTokens: 8192,
    padded: true,
    device: testDevice,
    recompute: 0,
    generator: new Generator(3),
    ...how,
  }
  const { gradients, loss, terms, metrics, release } = await computeGradients(trainable, prepared, options)
  const values = new Map([...gradients].map(([path, tensor]) => [path, tensor.toFloat32Array()]))
  release()
  return { loss, terms, metrics, values }
}

const largestOf = (values: ArrayLike<number>) =>
  Array.from(values).reduce((most, value) => Math.max(most, Math.abs(value)), 0)
const apart = (a: ArrayLike<number>, b: ArrayLike<number>) => largestOf(Array.from(b, (value, i) => a[i] - value))

const expectSame = (
  found: Awaited<ReturnType<typeof gradientsOf>>,
  reference: Awaited<ReturnType<typeof gradientsOf>>,
  what: string,
) => {
  expect(Math.abs(found.loss - reference.loss), what).toBeLessThan(1e-6 * Math.max(1, Math.abs(reference.loss)))
  for (const [name, value] of Object.entries(reference.metrics))
    expect(Math.abs(found.metrics[name] - value), `${what}: ${name}`).toBeLessThan(2e-6 * Math.max(1, Math.abs(value)))
  expect([...found.values.keys()], what).toEqual([...reference.values.keys()])
  const largest = largestOf([...reference.values.values()].map((values) => largestOf(values)))
  expect(largest).toBeGreaterThan(1e-3)
  for (const [path, expected] of reference.values)
    expect(apart(found.values.get(path) ?? [], expected), `${what}: ${path}`).toBeLessThan(2e-5 * largest)
}

const kinds: CriticKind[] = ['none', 'head', 'adapter', 'model']

describe.each(['gpt2', 'llama'] as const)('loss and gradients of %s', (type) => {
  it.each(kinds)('do not depend on how the batch is split, padded or packed; critic: %s', async (kind) => {
    const parts = policyAndCritic(type, kind)
    const examples = await inventedRollouts(parts.model, kind !== 'none')
    const reference = await gradientsOf(parts, full, examples)
    expect(Object.keys(reference.terms)).toContain(policyTerms.policy)
    expect(policyTerms.value in reference.terms).toBe(kind !== 'none')
    const reversed = [...examples].reverse()
    const others = {
      packed: await gradientsOf(parts, full, examples, { padded: false }),
      'packed in parts': await gradientsOf(parts, full, examples, { padded: false, microTokens: 20 }),
      'one by one': await gradientsOf(parts, full, examples, { microTokens: 1 }),
      'another order': await gradientsOf(parts, full, reversed, { padded: false, microTokens: 30 }),
      recomputed: await gradientsOf(parts, full, examples, { recompute: 2 }),
      'packed, recomputed in parts': await gradientsOf(parts, full, examples, {
        padded: false,
        recompute: 1,
        microTokens: 20,
      }),
    }
    for (const [what, found] of Object.entries(others)) expectSame(found, reference, what)
    expect(adaptersOf(parts.model).active).toEqual(['policy'])
  })
})

describe.each(Object.keys(policyLosses) as (keyof typeof policyLosses)[])('the loss %s', (type) => {
  it('does not depend on how the batch is split', async () => {
    const parts = policyAndCritic('llama', 'none')
    const examples = await inventedRollouts(parts.model, false)
    const input: PolicyInput = { loss: { type }, temperature: 0.7, maxTokens: 12 }
    const reference = await gradientsOf(parts, input, examples)
    expectSame(await gradientsOf(parts, input, examples, { padded: false, microTokens: 20 }), reference, 'packed')
    expectSame(await gradientsOf(parts, input, examples, { microTokens: 1 }), reference, 'one by one')
  })

  it('has a ratio of 1, no clipping and no divergence before the first update', async () => {
    const parts = policyAndCritic('llama', 'none')
    const examples = await inventedRollouts(parts.model, false)
    const scores = await scoreCompletions(parts.model, examples, { microTokens: 64, padded: true })
    const current = examples.map((example, i) => ({
      ...example,
      oldLogProbs: scores[i].logProbs,
      referenceLogProbs: scores[i].logProbs,
    }))
    const input: PolicyInput = { loss: { type }, maxTokens: 12, kl: { coefficient: 1 } }
    const { metrics, terms } = await gradientsOf(parts, input, current, { padded: false })
    expect(metrics.ratio).toBeCloseTo(1, 5)
    expect(metrics.ratioDeviation).toBeLessThan(1e-10)
    expect(metrics.approxKl).toBeLessThan(1e-10)
    expect(metrics.referenceKl).toBeCloseTo(0, 6)
    expect(terms[policyTerms.kl]).toBeCloseTo(0, 6)
    for (const name of ['clipFractionLow', 'clipFractionHigh']) if (name in metrics) expect(metrics[name]).toBe(0)
  })

  it('without old log-probabilities is that of equal ones', async () => {
    const parts = policyAndCritic('llama', 'none')
    const examples = await inventedRollouts(parts.model, false)
    const scores = await scoreCompletions(parts.model, examples, { microTokens: 64, padded: true })
    const old = examples.map((example, i) => ({ ...example, oldLogProbs: scores[i].logProbs }))
    const without = examples.map(({ oldLogProbs, ...rest }) => rest)
    const input: PolicyInput = { loss: { type }, maxTokens: 12 }
    const [a, b] = [await gradientsOf(parts, input, old), await gradientsOf(parts, input, without)]
    for (const [path, values] of a.values) expect(apart(b.values.get(path) ?? [], values), path).toBeLessThan(1e-5)
  })
})

it('computes a prompt once for all answers to it, in packed rows', async () => {
  const parts = policyAndCritic('llama', 'adapter')
  const examples = await inventedRollouts(parts.model, true)
  const tokensOf = async (padded: boolean) => {
    const { criterion, prepared } = await prepareFor(parts, full, examples, { padded })
    return criterion.collate(prepared, { padded, device: testDevice }).tokens
  }
  // Answers 0, 3, 6 share a prompt of 6 tokens and 2, 5 one of 8; a prompt of one token is not worth it.
  const saved = 2 * 6 + 8
  expect((await tokensOf(true)) - (await tokensOf(false))).toBe(saved)
})

describe('masks', () => {
  const parts = policyAndCritic('llama', 'none')

  it.each(['token-mean', 'answer-mean', 'answer-sum', 'fixed-length'] as const)(
    'a masked answer changes neither the sum nor the divisor of %s',
    async (aggregation) => {
      const input: PolicyInput = { loss: { type: 'ppo', aggregation }, maxTokens: 12 }
      const examples = await inventedRollouts(parts.model, false)
      const kept = examples.filter(({ mask }) => mask.includes(1))
      expect(kept.length).toBe(examples.length - 1)
      expectSame(await gradientsOf(parts, input, examples), await gradientsOf(parts, input, kept), aggregation)
    },
  )

  it('what the arrays hold at masked tokens does not matter', async () => {
    const examples = await inventedRollouts(parts.model, false)
    const spoilt = examples.map((example) => {
      const wild = (values?: Float32Array) => values?.map((value, t) => (example.mask[t] === 0 ? 1e6 : value))
      return {
        ...example,
        advantages: wild(example.advantages) as Float32Array,
        oldLogProbs: wild(example.oldLogProbs),
        referenceLogProbs: wild(example.referenceLogProbs),
        samplingLogProbs: wild(example.samplingLogProbs),
        entropies: wild(example.entropies),
      }
    })
    expectSame(await gradientsOf(parts, full, spoilt), await gradientsOf(parts, full, examples), 'spoilt')
  })

  it('a batch of masked answers alone is refused, and one in a micro-batch of its own is not', async () => {
    const masked = (await inventedRollouts(parts.model, false)).filter(({ mask }) => !mask.includes(1))
    await expect(gradientsOf(parts, full, masked)).rejects.toThrow('no trained token')
  })
})

describe('a critic', () => {
  it.each(['head', 'adapter', 'model'] as const)(
    'gives the same values padded, packed and in parts: %s',
    async (kind) => {
      const { model, critic } = policyAndCritic('llama', kind)
      const examples = await inventedRollouts(model, true)
      const reference = await scoreValues(critic!, model, examples, { microTokens: 512, padded: true })
      const packed = await scoreValues(critic!, model, examples, { microTokens: 24, padded: false })
      const shared = await scoreValues(critic!, model, examples, { microTokens: 512, padded: false, shared: true })
      expect(reference.map(({ length }) => length)).toEqual(examples.map(({ mask }) => mask.length + 1))
      for (const [i, values] of reference.entries()) {
        expect(apart(packed[i], values)).toBeLessThan(1e-5)
        expect(apart(shared[i], values)).toBeLessThan(1e-5)
      }
      expect(new Set(reference.flatMap((values) => [...values])).size).toBeGreaterThan(10)
    },
  )

  it('with an adapter of its own changes nothing for the policy, and reads nothing of it', async () => {
    const { model, critic, parameters } = policyAndCritic('llama', 'adapter')
    const alone = policyAndCritic('llama', 'none')
    const examples = await inventedRollouts(model, true)
    const how = { microTokens: 512, padded: true }
    const [mine, other] = [
      await scoreCompletions(model, examples, how),
      await scoreCompletions(alone.model, examples, how),
    ]
    expect(mine).toEqual(other)
    const before = await scoreValues(critic!, model, examples, how)
    for (const [path, tensor] of parameters) if (!path.startsWith('critic.')) tensor.detach().zero_()
    expect(await scoreValues(critic!, model, examples, how)).toEqual(before)
  })

  it('with a new head begins with values of 0', async () => {
    const model = build('llama', 'causal-lm')
    const critic = createCritic(model)
    const [values] = await scoreValues(critic, model, await inventedRollouts(model, true), {
      microTokens: 512,
      padded: true,
    })
    expect([...values].every((value) => value === 0)).toBe(true)
  })

  it('can begin as a copy of a reward model on the same base', async () => {
    const { model, critic } = policyAndCritic('llama', 'adapter')
    const copy = createCritic(model, { from: 'critic', name: 'copied' })
    const examples = await inventedRollouts(model, true)
    const how = { microTokens: 512, padded: true }
    const expected = await scoreValues(critic!, model, examples, how)
    const found = await scoreValues(copy, model, examples, how)
    for (const [i, values] of expected.entries()) expect(apart(found[i], values)).toBeLessThan(1e-5)
    expect([...copy.trainable.values()].every(({ requiresGrad }) => requiresGrad)).toBe(true)
  })

  it('computes its values in float32 over hidden states in bfloat16', async () => {
    const model = build('llama', 'causal-lm').to({ dtype: 'bfloat16' })
    const critic = createCritic(model, { head: 'normal' })
    const values = await scoreValues(critic, model, await inventedRollouts(model, true), {
      microTokens: 512,
      padded: true,
    })
    const rounded = Tensor.from(values[1]).to('bfloat16').toFloat32Array()
    expect(apart(rounded, values[1])).toBeGreaterThan(1e-5)
  })

  it('needs a reward head', async () => {
    const { model } = policyAndCritic('llama', 'none')
    const how = { microTokens: 512, padded: true }
    await expect(scoreValues({ model }, model, await inventedRollouts(model, true), how)).rejects.toThrow(
      'Expected a critic with the head reward, got causal-lm.',
    )
  })

  it('is trained alone during its warm-up', async () => {
    const parts = policyAndCritic('llama', 'adapter')
    const input = { ...full, criticWarmup: 3 }
    const examples = await inventedRollouts(parts.model, true)
    const { criterion, prepared } = await prepareFor(parts, input, examples, { step: 2 })
    const trainable = { model: parts.model, objective: criterion, parameters: parts.parameters }
    const options = { microTokens: 8192, padded: true, device: testDevice, recompute: 0, generator: new Generator(3) }
    const { gradients, release } = await computeGradients(trainable, prepared, options)
    expect([...gradients.keys()].every((path) => path.startsWith('critic.'))).toBe(true)
    expect(gradients.size).toBeGreaterThan(0)
    release()
    const after = await prepareFor(parts, input, examples, { step: 3 })
    expect(after.prepared.some(({ policyFrozen }) => policyFrozen)).toBe(false)
  })
})

describe('policy, critic and reference on one frozen base', () => {
  it('share its tensors, and train none of them', async () => {
    const { model, critic, parameters } = policyAndCritic('llama', 'adapter')
    expect(critic?.model.body).toBe(model.body)
    const base = [...model.parameters()].filter(([path]) => !path.includes('.adapters.'))
    expect(base.some(([, tensor]) => tensor.requiresGrad)).toBe(false)
    const bytes = (tensors: Iterable<{ size: number }>) => [...tensors].reduce((sum, { size }) => sum + size, 0)
    expect(bytes(parameters.values())).toBeLessThan(0.5 * bytes(base.map(([, tensor]) => tensor)))
  })

  it('work with a quantised base, whose reference is the base without adapters', async () => {
    const quantised = build('llama', 'causal-lm', { hiddenSize: 64, intermediateSize: 64 })
    quantizeWeights(quantised, 'nf4')
    const parts = policyAndCritic('llama', 'adapter', quantised)
    const examples = await inventedRollouts(parts.model, true)
    const reference = await gradientsOf(parts, full, examples)
    expect([...reference.values.keys()].some((path) => path.startsWith('critic.'))).toBe(true)
    expectSame(await gradientsOf(parts, full, examples, { recompute: 2 }), reference, 'recomputed')
    const off = adaptersOf(parts.model)
    off.activate([])
    const [bare] = await scoreCompletions(parts.model, examples, { microTokens: 512, padded: true })
    off.activate('policy')
    const [adapted] = await scoreCompletions(parts.model, examples, { microTokens: 512, padded: true })
    expect(apart(bare.logProbs, adapted.logProbs)).toBeGreaterThan(1e-3)
  })
})

describe('what others get wrong', () => {
  const parts = policyAndCritic('llama', 'none')
  const input: PolicyInput = { loss: { type: 'dapo' }, temperature: 0.7 }
  const sumOf = (examples: readonly RolloutExample[]) =>
    examples.reduce((sum, { mask }) => sum + mask.reduce((count, own) => count + own, 0), 0)

  it('the divisor counts the tokens of this step, not those of the whole rollout', async () => {
    // TRL #6024: with mini-batches, the loss of a step was divided by the tokens of all of them.
    const examples = await inventedRollouts(parts.model, false)
    const [whole, first, second] = [examples, examples.slice(0, 3), examples.slice(3)]
    const losses = await Promise.all(
      [whole, first, second].map(async (part) => (await gradientsOf(parts, input, part)).loss),
    )
    const [a, b] = [sumOf(first), sumOf(second)]
    expect(losses[0]).toBeCloseTo((losses[1] * a + losses[2] * b) / (a + b), 6)
  })

  it('the ratio is 1 only if the temperature of sampling divides the logits in training too', async () => {
    // TRL #4159. The answers were sampled at 0.7.
    const examples = await inventedRollouts(parts.model, false)
    const scores = await scoreCompletions(parts.model, examples, { microTokens: 64, padded: true, temperature: 0.7 })
    const sampled = examples.map(({ samplingLogProbs, ...rest }, i) => ({ ...rest, oldLogProbs: scores[i].logProbs }))
    expect((await gradientsOf(parts, input, sampled)).metrics.ratioDeviation).toBeLessThan(1e-9)
    const forgotten = { ...input, temperature: 1 }
    expect((await gradientsOf(parts, forgotten, sampled)).metrics.ratioDeviation).toBeGreaterThan(1e-3)
    const how = { microTokens: 64, padded: true }
    const [, right] = await rolloutEqualities(parts.model, sampled, { ...how, temperature: 0.7 })
    const [padding, wrong] = await rolloutEqualities(parts.model, sampled, how)
    expect(right).toMatchObject({ name: 'logRatio', holds: true })
    expect(wrong).toMatchObject({ name: 'logRatio', holds: false })
    expect(padding).toMatchObject({ name: 'padding', holds: true })
  })

  it('fused log-probabilities and entropies have the gradients of plain ones, with importance weights and masks', async () => {
    // Liger #1082: a fused kernel ignored the weights.
    const settings = { ...full, entropy: 0.1, loss: { type: 'gspo-token' } } satisfies PolicyInput
    const examples = await inventedRollouts(parts.model, false)
    const fused = await gradientsOf(parts, settings, examples)
    const { criterion, prepared } = await prepareFor(parts, settings, examples)
    const batch = criterion.collate(prepared, { padded: true, device: testDevice }) as PolicyBatch
    const { logits } = parts.model.forward(batch.inputs)
    const rows = logits.flatten(0, 1).indexSelect(0, batch.places).div(0.7).logSoftmax(-1)
    const logProbs = rows.gather(1, batch.targets.unsqueeze(1)).squeeze(1)
    const config = policySchema.parse(settings)
    const { terms } = policyLoss({ logProbs, entropy: logProbs.detach() }, batch, config, config.kl?.coefficient ?? 0)
    const entropy = rows.exp().mul(rows).sum(-1).neg().mul(batch.factors).sum()
    const loss = terms
      .map(({ sum, weight, scale }) => sum.mul(scale / weight))
      .reduce((a, b) => a.add(b), entropy.mul(-0.1 / batch.weight))
    loss.backward()
    expect(Math.abs(loss.item() - fused.loss)).toBeLessThan(1e-6)
    const largest = largestOf([...fused.values.values()].map((values) => largestOf(values)))
    for (const [path, tensor] of parts.parameters) {
      expect(apart(tensor.grad?.toFloat32Array() ?? [], fused.values.get(path) ?? []), path).toBeLessThan(
        2e-5 * largest,
      )
      tensor.grad = undefined
    }
  })

  it('layers that are recomputed have no dropout where the forward pass had none', async () => {
    const noisy = policyAndCritic('gpt2', 'none', build('gpt2', 'causal-lm', { hiddenDropout: 0.5 }))
    const examples = await inventedRollouts(noisy.model, false)
    noisy.model.train()
    const reference = await gradientsOf(noisy, input, examples)
    noisy.model.train()
    expectSame(await gradientsOf(noisy, input, examples, { recompute: 2 }), reference, 'recomputed')
    noisy.model.train()
    const wrapped = withoutDropout(policyCriterion(policySchema.parse({ ...input, dropout: true })))
    noisy.model.train()
    const options = { microTokens: 8192, padded: true, device: testDevice, recompute: 2, generator: new Generator(3) }
    const trainable = { model: noisy.model, objective: wrapped, parameters: noisy.parameters }
    const { gradients, release } = await computeGradients(trainable, examples, options)
    for (const [path, expected] of reference.values)
      expect(apart(gradients.get(path)?.toFloat32Array() ?? [], expected), path).toBeLessThan(1e-4)
    release()
    noisy.model.train()
    const dropped = await gradientsOf(noisy, { ...input, dropout: true }, examples)
    expect(Math.abs(dropped.loss - reference.loss)).toBeGreaterThan(1e-3)
  })
})

describe('dropout', () => {
  it.each(['none', 'adapter'] as const)('is the same however the batch is split; critic: %s', async (kind) => {
    const noise = { embeddingDropout: 0.2, hiddenDropout: 0.2, attentionDropout: 0.2 }
    const parts = policyAndCritic('gpt2', kind, build('gpt2', 'causal-lm', noise))
    // One answer trains the critic only.
    const examples = await inventedRollouts(parts.model, kind !== 'none')
    parts.model.train()
    const noisy = { ...full, dropout: true }
    const reference = await gradientsOf(parts, noisy, examples)
    const others = {
      'packed in parts': await gradientsOf(parts, noisy, examples, { padded: false, microTokens: 20 }),
      'one by one': await gradientsOf(parts, noisy, examples, { microTokens: 1 }),
      'packed, recomputed': await gradientsOf(parts, noisy, examples, { padded: false, recompute: 2 }),
    }
    for (const [what, found] of Object.entries(others)) expectSame(found, reference, what)
  })
})

describe('what is refused', () => {
  const parts = policyAndCritic('llama', 'none')
  const broken = async (changed: (first: RolloutExample) => Partial<RolloutExample>) => {
    const [first, ...rest] = await inventedRollouts(parts.model, true)
    return prepareFor(parts, full, [{ ...first, ...changed(first) }, ...rest])
  }

  it('values that are not finite never reach a gradient', async () => {
    const withNan = (values: Float32Array) => values.map((value, t) => (t === 1 ? Number.NaN : value))
    await expect(broken(({ advantages }) => ({ advantages: withNan(advantages) }))).rejects.toThrow(
      'Expected finite values in `advantages` of an answer, got NaN',
    )
    const infinite = (values?: Float32Array) => values?.map(() => Number.POSITIVE_INFINITY)
    await expect(broken(({ returns }) => ({ returns: infinite(returns) }))).rejects.toThrow('finite `returns`')
  })

  it('arrays of another length, and arrays that only some answers have', async () => {
    await expect(broken(() => ({ mask: new Uint8Array(2) }))).rejects.toThrow('Expected 3 values in `mask`')
    await expect(broken(() => ({ referenceLogProbs: undefined }))).rejects.toThrow('got 6 of 7 answers with it')
  })

  it('settings that need what is not there', async () => {
    const noLength: PolicyInput = { loss: { type: 'dr-grpo' } }
    expect(() => policyCriterion(policySchema.parse(noLength))).toThrow('set `maxTokens`')
    const without = (await inventedRollouts(parts.model, false)).map(
      ({ referenceLogProbs, entropies, ...others }) => others,
    )
    await expect(gradientsOf(parts, { ...full, highEntropyShare: undefined }, without)).rejects.toThrow(
      'reference model',
    )
    await expect(gradientsOf(parts, full, without)).rejects.toThrow('needs the entropies')
  })
})

it('an adaptive coefficient follows the divergence of the answers, and is carried', async () => {
  const parts = policyAndCritic('llama', 'none')
  const input = { ...full, kl: { coefficient: 0.1, adaptive: { target: 1e-3, horizon: 100 } } }
  const criterion = policyCriterion(policySchema.parse(input))
  const far = (await inventedRollouts(parts.model, false)).map((example) => ({
    ...example,
    referenceLogProbs: example.oldLogProbs!.map((value) => value - 1),
  }))
  const context = {
    model: parts.model,
    microTokens: 64,
    padded: true,
    device: testDevice,
    step: 0,
    position: 0,
    seed: 0,
  }
  await criterion.prepare?.(far, context)
  expect(criterion.carried?.save()).toEqual({ coefficient: expect.closeTo(0.1 * (1 + (0.2 * 7) / 100), 10) })
})

it('shows the trained tokens of an answer', async () => {
  const criterion = policyCriterion(policySchema.parse({ loss: { type: 'grpo' } }))
  const [example] = await inventedRollouts(build('llama', 'causal-lm'), false)
  const text = criterion.describe(
    { ...example, ids: Uint32Array.of(1, 2, 3, 4, 5), promptTokens: 2, mask: Uint8Array.of(1, 0, 1) },
    (ids) => ids.join(' '),
  )
  expect(text).toBe('1 2⟦3⟧4⟦5⟧')
})
