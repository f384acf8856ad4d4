// AdaLoRA beside PEFT: the loss of each step, the components that are kept, and the factors at the end.
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { applyAdapter } from '../../src/adapters/index.ts'
import { budgetAt } from '../../src/adapters/matrix-change/rank-allocation.ts'
import { loadModel, openSafetensors } from '../../src/checkpoint/index.ts'
import { cat, noGrad, type Tensor } from '../../src/tensor/index.ts'
import { placedFile } from '../device.ts'

const openPlaced = async (path: string) => placedFile(await openSafetensors(path))

const golden = join(dirname(fileURLToPath(import.meta.url)), 'golden')
const largest = (values: Tensor): number => values.abs().max().item()

/** Our paths and PEFT's names of the layers that are adapted; GPT-2's three are one matrix in files, under the first. */
const layers = {
  bert: [0, 1].flatMap((i) =>
    [
      ['attention.qProj', 'attention.self.query'],
      ['attention.kProj', 'attention.self.key'],
      ['attention.vProj', 'attention.self.value'],
      ['attention.oProj', 'attention.output.dense'],
      ['mlp.upProj', 'intermediate.dense'],
    ].map(([ours, theirs]) => [`body.layers.${i}.${ours}`, `bert.encoder.layer.${i}.${theirs}`] as const),
  ),
  gpt2: [0, 1].flatMap((i) =>
    [
      ['attention.qProj', 'attn.c_attn'],
      ['attention.oProj', 'attn.c_proj'],
      ['mlp.upProj', 'mlp.c_fc'],
      ['mlp.downProj', 'mlp.c_proj'],
    ].map(([ours, theirs]) => [`body.layers.${i}.${ours}`, `transformer.h.${i}.${theirs}`] as const),
  ),
}
const leaves = { right: 'lora_A', singular: 'lora_E', left: 'lora_B' }
const targets = { bert: ['qProj', 'kProj', 'vProj', 'oProj', 'upProj'], gpt2: 'all-linear' as const }

describe.each(['bert', 'gpt2'] as const)('AdaLoRA of %s', (base) => {
  it('has the losses, ranks and factors of PEFT in every step', async () => {
    const folder = join(golden, `${base}-adalora`)
    const fields = JSON.parse(readFileSync(join(folder, 'adapter_config.json'), 'utf8')) as Record<string, number>
    const [file, expected] = await Promise.all(
      ['allocation', 'expected'].map((name) => openPlaced(join(folder, `${name}.safetensors`))),
    )
    const model = await loadModel(join(golden, 'bases', base))
    const applied = applyAdapter(model, {
      type: 'adalora',
      targets: targets[base],
      targetRank: fields.target_r,
      initialRank: fields.init_r,
      alpha: fields.lora_alpha,
      warmupSteps: fields.tinit,
      finalSteps: fields.tfinal,
      interval: fields.deltaT,
      sensitivityDecay: fields.beta1,
      uncertaintyDecay: fields.beta2,
      orthogonality: fields.orth_reg_weight,
      trainHead: false,
    })
    // Of BERT, PEFT trains the head too, which does not change here.
    const saved = await openPlaced(join(folder, 'adapter_model.safetensors'))
    noGrad(() => {
      for (const [path, parameter] of model.parameters())
        if (saved.tensors.has(`base_model.model.${path.replace('head.', '')}`))
          parameter.detach().copy_(saved.tensor(`base_model.model.${path.replace('head.', '')}`))
    })
    const parameters = applied.trainable
    const places = layers[base].flatMap(([ours, theirs]) =>
      Object.entries(leaves).map(([leaf, name]) => ({
        path: `${ours}.adapters.default.${leaf}`,
        key: `base_model.model.${theirs}.${name}`,
        leaf,
      })),
    )
    expect(new Set(places.map(({ path }) => path))).toEqual(new Set(parameters.keys()))
    noGrad(() => {
      for (const { path, key } of places)
        parameters
          .get(path)!
          .detach()
          .copy_(file.tensor(`start.${key}`))
    })
    const method = applied.beginTraining({ totalSteps: fields.total_step, parameters })
    const ranks: number[] = []
    for (let step = 1; step <= fields.total_step; step++) {
      const { logits } = model.forward({ inputIds: expected.tensor('ids'), attentionMask: expected.tensor('mask') })
      const { penalty, afterUpdate } = method!
      const loss = logits.mul(file.tensor('weights')).square().mean().add(penalty!.loss().mul(penalty!.scale))
      expect(Math.abs(loss.item() - file.tensor(`loss.${step}`).item()) / loss.item(), `${step}`).toBeLessThan(2e-5)
      loss.backward()
      const gradients = new Map([...parameters].map(([path, { grad }]) => [path, grad!]))
      noGrad(() => {
        for (const [path, parameter] of parameters) parameter.detach().sub_(gradients.get(path)!.mul(0.05))
      })
      afterUpdate!({ step, gradients, scale: 1, weights: parameters, parameters })
      for (const parameter of parameters.values()) parameter.grad = undefined
      let kept = 0
      for (const { path, key, leaf } of places) {
        if (leaf !== 'singular') continue
        const [ours, theirs] = [parameters.get(path)!, file.tensor(`values.${step}.${key}`)]
        expect(ours.eq(0).equal(theirs.eq(0)), `${step} ${path}`).toBe(true)
        expect(largest(ours.sub(theirs)), `${step} ${path}`).toBeLessThan(1e-5)
        kept += ours.ne(0).sum().item()
      }
      ranks.push(kept)
    }
    expect(ranks.at(-1)).toBe(layers[base].length * fields.target_r)
    expect(ranks[0]).toBeGreaterThan(ranks.at(-1)!)
    for (const { path, key } of places)
      expect(largest(parameters.get(path)!.sub(file.tensor(`end.${key}`))), path).toBeLessThan(1e-5)
  })
})

describe('the state of the allocation', () => {
  const begin = async () => {
    const model = await loadModel(join(golden, 'bases', 'bert'))
    const applied = applyAdapter(
      model,
      { type: 'adalora', initialRank: 4, targetRank: 1, trainHead: false },
      { seed: 3 },
    )
    return { model, applied, method: applied.beginTraining({ totalSteps: 10, parameters: applied.trainable })! }
  }
  type Begun = Awaited<ReturnType<typeof begin>>
  const advance = ({ model, applied, method }: Begun, from: number, to: number, ids: Tensor) => {
    const parameters = applied.trainable
    for (let step = from; step <= to; step++) {
      model.forward({ inputIds: ids }).logits.square().sum().backward()
      const gradients = new Map([...parameters].map(([path, { grad }]) => [path, grad!]))
      noGrad(() => {
        for (const [path, parameter] of parameters) parameter.detach().sub_(gradients.get(path)!.mul(0.1))
      })
      method.afterUpdate!({ step, gradients, scale: 1, weights: parameters, parameters })
      for (const parameter of parameters.values()) parameter.grad = undefined
    }
  }

  it('continues to the bit from its tensors', async () => {
    const ids = (await openPlaced(join(golden, 'bert-adalora', 'expected.safetensors'))).tensor('ids')
    const [whole, first, second] = [await begin(), await begin(), await begin()]
    advance(whole, 1, 8, ids)
    advance(first, 1, 4, ids)
    second.applied.loadState(first.applied.trainable)
    const [saved, restored] = [first.method.tensors!(), second.method.tensors!()]
    expect([...restored.keys()]).toEqual([...saved.keys()])
    noGrad(() => {
      for (const [path, tensor] of restored) tensor.copy_(saved.get(path)!)
    })
    advance(second, 5, 8, ids)
    for (const [path, parameter] of whole.applied.trainable)
      expect(parameter.equal(second.applied.trainable.get(path)!), path).toBe(true)
    const values = cat([...whole.applied.trainable].filter(([path]) => path.endsWith('singular')).map(([, one]) => one))
    expect(values.eq(0).sum().item()).toBe(12 * 3)
  })
})

it('reduces the budget as a cube, in the steps between warmup and end', () => {
  const schedule = { warmup: 2, final: 3, total: 10 }
  const sizes = { initial: 40, target: 20, interval: 2 }
  expect([1, 2, 3, 4, 6, 7, 8].map((step) => budgetAt(step, schedule, sizes))).toEqual([
    ...[undefined, undefined, undefined],
    Math.trunc(20 * (1 - 2 / 5) ** 3 + 20),
    Math.trunc(20 * (1 - 4 / 5) ** 3 + 20),
    ...[20, undefined],
  ])
})

it.each([
  [{ targetRank: 5, initialRank: 4 }, 10, /`adapter.targetRank` of at most `adapter.initialRank`, got 5 and 4/],
  [{ warmupSteps: 6, finalSteps: 4 }, 10, /needs steps in which ranks are reduced, got 6 steps of warmup and 4/],
  [{}, Number.POSITIVE_INFINITY, /needs a known number of steps/],
])('refuses %j in a run of %d steps', async (settings, totalSteps, message) => {
  const model = await loadModel(join(golden, 'bases', 'bert'))
  expect(() => {
    const applied = applyAdapter(model, { type: 'adalora', ...settings })
    applied.beginTraining({ totalSteps, parameters: applied.trainable })
  }).toThrow(message)
})
