// Every architecture with every head that transformers has a class for: folders opened, logits, gradients, and the way back.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, it } from 'vitest'
import { loadModel, loadModelWithReport, openSafetensors, saveModel, toHfKeys } from '../../../src/checkpoint/index.ts'
import { modelKeys, SentencePretrainingHead } from '../../../src/models/index.ts'
import { type Tensor, tensor } from '../../../src/tensor/index.ts'
import { placed, placedFile, testDevice } from '../../device.ts'

const golden = join(dirname(fileURLToPath(import.meta.url)), 'golden', 'heads')
const scratch = mkdtempSync(join(tmpdir(), 'heads-'))
afterAll(() => rmSync(scratch, { recursive: true, force: true }))

const largest = (values: Tensor): number => values.abs().max().item()
const relative = (actual: Tensor, wanted: Tensor, floor = 0): number =>
  largest(actual.sub(wanted)) / Math.max(largest(wanted), floor)
/** Parameters that classes of transformers have beside the one they use, where outputs are not tied; we write ours for both. */
const idle = (name: string) => (name.endsWith('-untied') ? /^(lm_head|(cls\.)?predictions)\.bias$/ : /^$/)
const configOf = (folder: string) =>
  JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8')) as Record<string, unknown>

describe.each(readdirSync(golden))('%s', (name) => {
  const folder = join(golden, name)
  const expectedOf = async () => placedFile(await openSafetensors(join(folder, 'expected.safetensors')))
  const inputsOf = (expected: Awaited<ReturnType<typeof expectedOf>>) => {
    const optional = (key: string) => (expected.tensors.has(key) ? expected.tensor(key) : undefined)
    return {
      inputIds: expected.tensor('input_ids'),
      attentionMask: expected.tensor('attention_mask'),
      typeIds: optional('token_type_ids'),
      decoderInputIds: optional('decoder_input_ids'),
    }
  }

  it('gives the logits and gradients of transformers', async () => {
    const { model, report } = await loadModelWithReport(folder, { device: testDevice })
    expect(report).toEqual({ newHead: [], unused: [], notes: [] })
    model.requireGrad(true)
    const expected = await expectedOf()
    const inputs = inputsOf(expected)
    const { logits, hidden } = model.forward(inputs)
    const wanted = expected.tensor('logits')
    expect(logits.shape).toEqual(wanted.shape)
    // Rows of padding have no meaning in a mask with nothing to see.
    const seen =
      wanted.ndim === 3 && inputs.decoderInputIds === undefined ? inputs.attentionMask.unsqueeze(2) : tensor(1)
    const masked = wanted.ndim === 2 && wanted.shape[1] === 8 ? inputs.attentionMask : seen
    expect(relative(logits.mul(masked), wanted.mul(masked))).toBeLessThan(2e-5)
    let loss = logits.mul(expected.tensor('weights')).sum()
    const { head } = model
    if (head instanceof SentencePretrainingHead) {
      const relation = head.relate(hidden, inputs)
      expect(relative(relation, expected.tensor('relation'))).toBeLessThan(2e-5)
      loss = loss.add(relation.mul(placed(tensor([1.5, -0.5]))).sum())
    }
    loss.backward()
    const wantedGrads = [...expected.tensors.keys()].filter((key) => key.startsWith('grad.'))
    const { definition, config, headType, facts } = model
    const grads = toHfKeys(
      new Map([...model.parameters()].map(([path, parameter]) => [path, parameter.grad as Tensor])),
      modelKeys(definition, config, headType),
      facts.numLayers,
    )
    const floor = 1e-3 * Math.max(...[...grads.values()].map(largest))
    for (const key of grads.keys()) if (idle(name).test(key)) grads.delete(key)
    expect([...grads.keys()].sort()).toEqual(wantedGrads.map((key) => key.slice(5)).sort())
    for (const [key, grad] of grads)
      expect(relative(grad, expected.tensor(`grad.${key}`), floor), key).toBeLessThan(1e-4)
  })

  it('is written as it was read: keys, bits and fields of config.json', async () => {
    const model = await loadModel(folder, { device: testDevice })
    const out = join(scratch, name)
    await saveModel(model, out)
    const [before, after] = [
      await openSafetensors(join(folder, 'model.safetensors')),
      await openSafetensors(join(out, 'model.safetensors')),
    ]
    const kept = [...before.tensors.keys()].filter((key) => after.tensors.has(key))
    // A copy of a tied tensor, and layers that the head does not use, are all that may stay behind.
    expect([...after.tensors.keys()].filter((key) => !before.tensors.has(key))).toEqual([])
    expect(before.tensors.size - kept.length).toBeLessThanOrEqual(1)
    for (const key of kept.filter((key) => !idle(name).test(key)))
      expect(after.tensor(key).equal(before.tensor(key)), key).toBe(true)
    const { transformers_version: _, ...theirs } = configOf(folder)
    expect(configOf(out)).toMatchObject(theirs)
    const again = await loadModel(out, { device: testDevice })
    const inputs = inputsOf(await expectedOf())
    expect(again.forward(inputs).logits.equal(model.forward(inputs).logits)).toBe(true)
    expect(readFileSync(join(out, 'model.safetensors')).equals(await resave(again, `${out}-2`))).toBe(true)
  })
})

const resave = async (model: Awaited<ReturnType<typeof loadModel>>, folder: string) => {
  await saveModel(model, folder)
  return readFileSync(join(folder, 'model.safetensors'))
}
