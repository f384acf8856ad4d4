// transformers.js opens our folders and generates with its own cache: the greedy tokens are those of our forward pass.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { AutoModelForCausalLM, AutoModelForSeq2SeqLM, env, Tensor as JsTensor } from '@huggingface/transformers'
import { expect, it } from 'vitest'
import { saveModel } from '../../src/checkpoint/index.ts'
import { writeOnnx } from '../../src/export/onnx/write-onnx.ts'
import type { Model } from '../../src/models/index.ts'
import { noGrad, scope } from '../../src/tensor/index.ts'
import { batch, groupable, oddModel, ours } from './onnx-fixture.ts'

const count = 8

/** Appends the likeliest tokens one by one, without a cache. */
const greedy = (start: readonly number[], logitsOf: (ids: number[]) => ReturnType<Model['forward']>['logits']) => {
  const ids = [...start]
  for (let n = 0; n < count; n++)
    noGrad(() =>
      scope(() =>
        ids.push(
          logitsOf(ids)
            .select(1, ids.length - 1)
            .argmax(-1)
            .item(),
        ),
      ),
    )
  return ids
}

it.each([
  ['gpt2', 'plain'],
  ['llama', 'plain'],
  ['t5', 'plain'],
  ['gpt2', 'grouped'],
  ['llama', 'grouped'],
] as const)('generates with %s of %s operators', async (type, operators) => {
  const folder = await mkdtemp(join(tmpdir(), 'js-'))
  try {
    const seq2seq = type === 't5'
    const changes = operators === 'grouped' ? groupable[type] : {}
    const model = oddModel(type, seq2seq ? 'seq2seq-lm' : 'causal-lm', changes)
    // No token ends the text, so that all are compared.
    await saveModel(model, folder, { fields: { eos_token_id: null, bos_token_id: null } })
    await writeOnnx(model, folder, { operators })
    env.allowRemoteModels = false
    env.localModelPath = `${dirname(folder)}/`
    const auto = seq2seq ? AutoModelForSeq2SeqLM : AutoModelForCausalLM
    const theirs = await auto.from_pretrained(basename(folder), { dtype: 'fp32', device: 'cpu' })
    const prompt = batch(0).ids[0]
    const long = (values: readonly number[]) =>
      new JsTensor('int64', BigInt64Array.from(values, BigInt), [1, values.length])
    const generated = await theirs.generate({
      input_ids: long(prompt),
      attention_mask: long(prompt.map(() => 1)),
      max_new_tokens: count,
      do_sample: false,
    } as never)
    const inputIds = ours([prompt])
    const wanted = seq2seq
      ? greedy([0], (ids) => model.forward({ inputIds, decoderInputIds: ours([ids]) }).logits)
      : greedy(prompt, (ids) => model.forward({ inputIds: ours([ids]) }).logits)
    expect((generated as JsTensor).tolist()[0].map(Number)).toEqual(wanted)
    await theirs.dispose()
  } finally {
    await rm(folder, { recursive: true })
  }
})
