// Mixtures of experts beyond what every architecture shares: tensors of all experts, the auxiliary loss of transformers
// (golden/balance.safetensors, written by make-balance.py), and a training loss that no split of a batch changes.
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { applyAdapter } from '../../../src/adapters/index.ts'
import { fromHfKeys, loadModel, openSafetensors, toHfKeys } from '../../../src/checkpoint/index.ts'
import { buildModel, type Model, models, RouterBalance, withRouterBalance } from '../../../src/models/index.ts'
import { objectives } from '../../../src/objectives/index.ts'
import { cat, Generator, stack, type Tensor, tensor } from '../../../src/tensor/index.ts'
import { computeGradients } from '../../../src/training/index.ts'
import { placedFile, testDevice } from '../../device.ts'

const golden = join(dirname(fileURLToPath(import.meta.url)), 'golden')
const largest = (values: Tensor): number => values.abs().max().item()
const relative = (actual: Tensor, wanted: Tensor): number => largest(actual.sub(wanted)) / largest(wanted)
const names = ['MixtralForCausalLM', 'Qwen3MoeForCausalLM'] as const
const open = (name: string) => loadModel(join(golden, 'heads', name), { device: testDevice })

/** The tensors of all experts, as transformers holds them in memory, in place of each expert's own. */
const stackExperts = (tensors: ReadonlyMap<string, Tensor>): Map<string, Tensor> => {
  const out = new Map<string, Tensor>()
  const parts = new Map<string, Tensor[]>()
  for (const [key, value] of tensors) {
    const found = /^(.*layers\.\d+)\.(?:mlp|block_sparse_moe)\.experts\.(\d+)\.(.*)\.weight$/.exec(key)
    if (found === null) {
      out.set(key.replace('.block_sparse_moe.', '.mlp.'), value)
      continue
    }
    const [, layer, expert, name] = found
    const place = { w1: 0, w3: 1, w2: 2, gate_proj: 0, up_proj: 1, down_proj: 2 }[name] ?? 0
    const path = `${layer}.${place}`
    const list = parts.get(path) ?? []
    list[Number(expert)] = value
    parts.set(path, list)
  }
  for (const [path, list] of parts) {
    const layer = path.slice(0, -2)
    if (path.endsWith('.2')) out.set(`${layer}.mlp.experts.down_proj`, stack(list, 0))
    if (!path.endsWith('.0')) continue
    const ups = parts.get(`${layer}.1`) ?? []
    out.set(
      `${layer}.mlp.experts.gate_up_proj`,
      stack(
        list.map((gate, i) => cat([gate, ups[i]], 0)),
        0,
      ),
    )
  }
  return out
}

describe.each(names)('%s', (name) => {
  it('reads one tensor of all experts as it reads the tensors of each', async () => {
    const model = await open(name)
    const { definition, config, facts } = model
    const keys = definition.hfKeys(config)
    const files = toHfKeys(model.body.parameters(), keys, facts.numLayers)
    const stacked = stackExperts(files)
    expect(stacked.size).toBeLessThan(files.size)
    const lookups = new Map([...stacked].map(([key, value]) => [key, () => value]))
    const { state, unknown } = fromHfKeys(lookups, keys, facts.numLayers)
    expect(unknown).toEqual([])
    const own = model.body.parameters()
    expect([...state.keys()].sort()).toEqual([...own.keys()].sort())
    for (const [path, value] of state) expect(value.equal(own.get(path)!), path).toBe(true)
  })

  it('has the auxiliary loss of transformers and its gradients for a text, padded and packed', async () => {
    const expected = placedFile(await openSafetensors(join(golden, 'balance.safetensors')))
    const inputs = placedFile(await openSafetensors(join(golden, 'heads', name, 'expected.safetensors')))
    const [ids, mask] = [inputs.tensor('input_ids'), inputs.tensor('attention_mask')]
    const model = (await open(name)).requireGrad(true)
    const parameters = model.parameters()
    const embedding = model.body.embedTokens.weight
    const lengths = (mask.sum(1).toArray() as number[]).map(Number)
    const rows = lengths.map((length, row) => ids.narrow(0, row, 1).narrow(1, 0, length))
    const measure = (batch: Parameters<Model['forward']>[0]) => {
      const balance = new RouterBalance()
      withRouterBalance(balance, () => model.bodyForward(batch))
      return balance
    }
    let total = 0
    for (const [row, length] of lengths.entries()) {
      for (const parameter of parameters.values()) parameter.grad = undefined
      const { sum, tokens } = measure({
        inputIds: ids.narrow(0, row, 1),
        attentionMask: mask.narrow(0, row, 1),
      })
      expect(tokens).toBe(length)
      const wanted = expected.tensor(`${name}.${row}.loss`).item() as number
      const mean = sum!.div(tokens)
      expect(Math.abs((mean.item() as number) / wanted - 1)).toBeLessThan(1e-5)
      total += wanted * tokens
      mean.backward()
      expect(relative(embedding.grad!, expected.tensor(`${name}.${row}.grad.embedding`))).toBeLessThan(1e-4)
      for (const key of expected.tensors.keys()) {
        const layer = key.startsWith(`${name}.${row}.grad.`) ? key.slice(`${name}.${row}.grad.`.length) : 'embedding'
        if (layer === 'embedding') continue
        const grad = parameters.get(`body.layers.${layer}.mlp.router.weight`)?.grad
        expect(relative(grad!, expected.tensor(key)), key).toBeLessThan(1e-4)
      }
    }
    const all = [
      { inputIds: ids, attentionMask: mask },
      {
        inputIds: cat(rows, 1),
        starts: tensor([0, ...lengths.map((_, i) => lengths.slice(0, i + 1).reduce((a, b) => a + b))], {
          dtype: 'int64',
        }),
      },
      { inputIds: ids, attentionMask: mask, recompute: 2 },
    ]
    for (const batch of all) {
      const { sum, tokens } = measure(batch)
      expect(tokens).toBe(lengths.reduce((a, b) => a + b))
      expect(Math.abs((sum!.item() as number) / total - 1)).toBeLessThan(1e-5)
    }
  })

  it('has no auxiliary loss unless it is asked for', async () => {
    const model = await open(name)
    expect(model.facts.routerLossFactor).toBeUndefined()
    const on = { ...model.config, outputRouterLogits: true, routerLossFactor: 0.5 }
    expect(model.definition.facts(on).routerLossFactor).toBe(0.5)
    expect(model.definition.toHf(on)).toMatchObject({ output_router_logits: true, router_aux_loss_coef: 0.5 })
  })
})

describe('training', () => {
  it('gives the same loss and gradients however a batch is split, packed or padded', async () => {
    const definition = models['qwen3-moe']
    const config = definition.adjust(definition.presets.test, { outputRouterLogits: true, routerLossFactor: 0.3 })
    const vocabulary = { size: 128, eos: 1, pad: 0, specialIds: new Set([0, 1]) }
    const objective = objectives['causal-lm'].create(objectives['causal-lm'].config.parse({}), {
      vocabulary,
      maxLength: 32,
    })
    const examples = [9, 21, 5, 30, 14].map((length, row) => {
      const ids = Uint32Array.from({ length }, (_, i) => 2 + ((row * 37 + i * i * 11) % 120))
      return objective.example(
        { ids, starts: [0], endsDocument: true } as never,
        undefined as never,
        undefined as never,
      )
    })
    const gradientsOf = async (microTokens: number, padded: boolean, recompute = 0) => {
      // Low-rank adapters in the experts, with dropout, on a model that is trained whole.
      const model = buildModel(definition, config, 'causal-lm')
      model.initialize({ std: 0.2, generator: new Generator(3) })
      applyAdapter(
        model,
        { type: 'lora', rank: 4, dropout: 0.3, targets: ['experts.*.upProj', 'downProj'] },
        { seed: 1 },
      )
      model.to({ device: testDevice }).requireGrad(true)
      // The second factor is zero at first, and nothing would show.
      for (const [path, parameter] of model.parameters())
        if (/adapters\./.test(path)) parameter.detach().normal_(0, 0.2, { generator: new Generator(path.length) })
      model.train()
      const result = await computeGradients({ model, objective, parameters: model.parameters() }, examples, {
        microTokens,
        padded,
        recompute,
        device: testDevice,
        generator: new Generator(5),
      })
      return {
        ...result,
        experts: [...model.parameters().keys()].filter((path) => /experts.*adapters/.test(path)).length,
      }
    }
    const whole = await gradientsOf(10_000, false)
    expect(whole.microBatches).toBe(1)
    expect(whole.experts).toBe(2 * 6 * 2 * 2)
    expect(whole.terms['router-balance']).toBeGreaterThan(1)
    expect(whole.loss).toBeCloseTo(whole.terms['causal-lm'] + 0.3 * whole.terms['router-balance'], 5)
    for (const [microTokens, padded, recompute] of [
      [40, false, 0],
      [40, true, 0],
      [10_000, true, 2],
    ] as const) {
      const split = await gradientsOf(microTokens, padded, recompute)
      if (microTokens === 40) expect(split.microBatches).toBeGreaterThan(1)
      expect(Math.abs(split.loss / whole.loss - 1)).toBeLessThan(1e-5)
      for (const [path, wanted] of whole.gradients) {
        const scale = Math.max(largest(wanted), 1e-3)
        expect(largest(split.gradients.get(path)!.sub(wanted)) / scale, path).toBeLessThan(1e-4)
      }
    }
  })
})
