// Bodies of every architecture against transformers: hidden states of each layer and the gradient of every parameter.
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { fromHfKeys, openSafetensors, toHfKeys } from '../../../src/checkpoint/index.ts'
import { type ModelDefinition, models } from '../../../src/models/index.ts'
import type { Tensor } from '../../../src/tensor/index.ts'
import { tensor } from '../../../src/tensor/index.ts'
import { placed, placedFile } from '../../device.ts'

const golden = join(dirname(fileURLToPath(import.meta.url)), 'golden')

const open = async (name: string) => {
  const fields = JSON.parse(readFileSync(join(golden, `${name}.json`), 'utf8')) as Record<string, unknown>
  const definition = Object.values(models as object as Record<string, ModelDefinition>).find(
    ({ type, hfType = type }) => hfType === fields.model_type,
  ) as ModelDefinition
  const config = definition.fromHf(fields) as never
  const file = placedFile(await openSafetensors(join(golden, `${name}.safetensors`)))
  const expected = placedFile(await openSafetensors(join(golden, `${name}.expected.safetensors`)))
  const body = definition.build(config)
  const { numLayers } = definition.facts(config)
  const lookups = new Map([...file.tensors.keys()].map((key) => [key, () => file.tensor(key)]))
  const { state, unknown } = fromHfKeys(lookups, definition.hfKeys(config), numLayers)
  body.loadState(state, { copy: false })
  return { definition, config, body, numLayers, file, expected, unknown }
}

const largest = (values: Tensor): number => values.abs().max().item()

/** Largest difference relative to the largest value, or to `floor` where all values are smaller. */
const relative = (actual: Tensor, wanted: Tensor, floor = 0): number =>
  largest(actual.sub(wanted)) / Math.max(largest(wanted), floor)

const names = readdirSync(golden)
  .filter((file) => file.endsWith('.json'))
  .map((file) => file.slice(0, -5))

describe.each(names)('%s against transformers', (name) => {
  it('gives the hidden states and the gradients', async () => {
    const { definition, config, body, numLayers, expected, unknown } = await open(name)
    expect(unknown).toEqual([])
    body.requireGrad(true)
    const [ids, mask] = [expected.tensor('ids'), expected.tensor('mask')]
    const optional = (key: string) => (expected.tensors.has(key) ? expected.tensor(key) : undefined)
    const decoder = {
      decoderInputIds: optional('decoder_input_ids'),
      decoderAttentionMask: optional('decoder_attention_mask'),
    }
    const { hidden, allHidden = [] } = body.forward({
      ...decoder,
      inputIds: ids,
      attentionMask: mask,
      typeIds: optional('token_type_ids'),
      allHidden: true,
    })
    const seen = expected.tensor('seen').unsqueeze(2)
    expect(allHidden.length).toBe([...expected.tensors.keys()].filter((key) => key.startsWith('hidden.')).length)
    allHidden.forEach((layer, i) => {
      expect(relative(layer.mul(seen), expected.tensor(`hidden.${i}`).mul(seen)), `hidden ${i}`).toBeLessThan(2e-5)
    })
    hidden.mul(expected.tensor('weights')).mul(seen).sum().backward()
    const parameters = [...body.parameters()]
    const grads = toHfKeys(
      new Map(parameters.map(([path, parameter]) => [path, parameter.grad as Tensor])),
      definition.hfKeys(config),
      numLayers,
    )
    // A key's bias shifts all scores of a row alike, so its true gradient is zero: what both sides show is rounding.
    const floor = 1e-3 * Math.max(...[...grads.values()].map(largest))
    for (const [key, grad] of grads)
      expect(relative(grad, expected.tensor(`grad.${key}`), floor), key).toBeLessThan(1e-4)
  })

  it('writes the keys and bits that it read', async () => {
    const { definition, config, body, numLayers, file } = await open(name)
    const written = toHfKeys(body.parameters(), definition.hfKeys(config), numLayers)
    expect([...written.keys()].sort()).toEqual([...file.tensors.keys()].sort())
    for (const [key, value] of written) expect(value.equal(file.tensor(key)), key).toBe(true)
  })

  it('gives packed documents the hidden states that they get alone, or refuses packing', async () => {
    const { definition, config, body, expected } = await open(name)
    const starts = tensor([0, 11, 15, 22], { dtype: 'int64' })
    if (definition.facts(config).packs === false) {
      expect(() => body.forward({ inputIds: expected.tensor('ids'), starts })).toThrow(/does not support packing/)
      return
    }
    // No padding inside a document.
    const ids = expected.tensor('ids').clamp({ min: 2 })
    const lengths = [11, 4, 7]
    const alone = lengths.map(
      (length, row) => body.forward({ inputIds: ids.narrow(0, row, 1).narrow(1, 0, length) }).hidden,
    )
    const packedIds = lengths
      .map((length, row) => ids.narrow(0, row, 1).narrow(1, 0, length).toArray() as number[][])
      .flat(2)
    const packed = body.forward({
      inputIds: placed(tensor([packedIds], { dtype: 'int64' })),
      starts,
    }).hidden
    let at = 0
    for (const wanted of alone) {
      const length = wanted.shape[1]
      expect(relative(packed.narrow(1, at, length), wanted)).toBeLessThan(2e-5)
      at += length
    }
  })
})
