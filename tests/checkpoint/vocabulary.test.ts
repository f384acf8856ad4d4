// Vocabularies that grow, shrink and are swapped, and rows of new tokens that LoRA trains. Outputs are compared with those of the model
// before: what is kept gives the same logits.
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadAdapter } from '../../src/adapters/index.ts'
import {
  growVocabulary,
  loadModel,
  loadTokenizer,
  openSafetensors,
  saveModel,
  shrinkVocabulary,
  swapTokenizer,
} from '../../src/checkpoint/index.ts'
import { encodeShards } from '../../src/data/index.ts'
import { buildModel, models } from '../../src/models/index.ts'
import { finetune, pretrain } from '../../src/runs/index.ts'
import { createChatEncoder } from '../../src/tasks/generative/chat-encoder.ts'
import { Generator, noGrad, setThreads, Tensor } from '../../src/tensor/index.ts'
import { CHAT_TEMPLATES, trainTokenizer, writeTokenizerFolder } from '../../src/tokenizers/index.ts'
import { testDevice } from '../device.ts'
import { makeDocuments, runHere } from '../e2e/run-folder.ts'

let root: string
const at = (name: string) => join(root, name)
const texts = makeDocuments(30)

const makeBase = async (name: string, tokenizer: string, tiedEmbeddings: boolean) => {
  const { maxId } = await loadTokenizer(at(tokenizer))
  const sizes = { hiddenSize: 16, numLayers: 1, numHeads: 2, numKvHeads: 2, intermediateSize: 32, maxPositions: 128 }
  const config = models.llama.adjust({}, { ...sizes, vocabSize: maxId + 1, tiedEmbeddings } as never)
  const model = buildModel(models.llama, config, 'causal-lm')
  model.initialize({ std: 0.1, generator: new Generator(1) })
  await saveModel(model, at(name), { tokenizer: at(tokenizer) })
}

beforeAll(async () => {
  setThreads(1)
  root = mkdtempSync(join(tmpdir(), 'tunesmith-vocabulary-test-'))
  for (const [name, type, vocabSize] of [
    ['bpe', 'bpe', 330],
    ['other', 'bpe', 300],
    ['pieces', 'wordpiece', 90],
    ['unigram', 'unigram', 80],
  ] as const) {
    const { files } = await trainTokenizer(name === 'other' ? texts.slice(0, 3) : texts, { type, vocabSize })
    await writeTokenizerFolder(at(name), files)
  }
  await makeBase('tied', 'bpe', true)
  await makeBase('untied', 'bpe', false)
  await makeBase('on-unigram', 'unigram', true)
  await makeBase('on-pieces', 'pieces', false)
})
afterAll(() => rmSync(root, { recursive: true, force: true }))

const logitsOf = async (folder: string, ids: readonly number[]) => {
  const model = await loadModel(folder)
  return noGrad(() =>
    model.forward({ inputIds: Tensor.from([[...ids]], { dtype: 'int64', device: testDevice }) }).logits.select(0, 0),
  )
}
const rowOf = async (folder: string, id: number) =>
  (await loadModel(folder)).body.embedTokens.weight.select(0, id).toArray() as number[]
const text = texts[0].slice(0, 80)
const broken = (folder: string) => expect(existsSync(folder)).toBe(false)

describe('a vocabulary that grows', () => {
  it.each(['tied', 'untied'])('keeps the logits of old tokens, and has rows for the new ones: %s', async (base) => {
    const out = at(`${base}-grown`)
    const grown = await growVocabulary({
      base: at(base),
      out,
      tokens: ['the cat', 'a dog'],
      template: 'chatml',
      multipleOf: 8,
    })
    expect(grown.added).toEqual(['the cat', 'a dog', '<|im_start|>', '<|im_end|>'])
    expect(grown.after).toBe(Math.ceil((grown.before + 4) / 8) * 8)
    const [before, after] = [await loadTokenizer(at(base)), await loadTokenizer(out)]
    expect(after.chatTemplate).toBe(CHAT_TEMPLATES.chatml)
    expect(after.encode('<|im_end|>', { addSpecialTokens: false }).ids).toHaveLength(1)
    const ids = Array.from(before.encodeIds('my sister likes the king'))
    expect(Array.from(after.encodeIds('my sister likes the king'))).toEqual(ids)
    const [old, fresh] = [await logitsOf(at(base), ids), await logitsOf(out, ids)]
    expect(fresh.narrow(1, 0, grown.before).sub(old).abs().max().item()).toBe(0)
    const parts = await Promise.all(Array.from(before.encodeIds('the cat'), (id) => rowOf(at(base), id)))
    const mean = parts[0].map((_, i) => parts.reduce((sum, row) => sum + row[i], 0) / parts.length)
    const row = await rowOf(out, after.tokenToId('the cat') ?? -1)
    for (const [i, value] of row.entries()) expect(value).toBeCloseTo(mean[i], 6)
  })

  it('has the end-of-text token that is named, in all files, and templates that end answers with it', async () => {
    const grow = (out: string, more: object) => growVocabulary({ base: at('on-pieces'), out: at(out), ...more })
    const { added } = await grow('ended', { eos: '<|endoftext|>', template: 'plain' })
    expect(added).toEqual(['<|endoftext|>'])
    const { special, chatTemplate } = await loadTokenizer(at('ended'))
    expect(special.eos?.token).toBe('<|endoftext|>')
    expect(chatTemplate).toContain('eos_token')
    const { eos_token_id } = JSON.parse(readFileSync(at('ended/config.json'), 'utf8'))
    expect(eos_token_id).toBe(special.eos?.id)
    // Without it, a tokenizer of BERT's kind ends answers with its separator.
    await grow('separated', { template: 'plain' })
    expect((await loadTokenizer(at('separated'))).chatTemplate).toContain("'[SEP]'")
    await expect(grow('same', { eos: '[SEP]' })).resolves.toMatchObject({ added: [] })
    await expect(growVocabulary({ base: at('same'), out: at('none'), eos: '[SEP]' })).rejects.toThrow(/does not have/)
  })

  it('is refused without a new token, and for a folder that exists', async () => {
    await expect(growVocabulary({ base: at('tied'), out: at('none') })).rejects.toThrow(/does not have/)
    await expect(growVocabulary({ base: at('tied'), out: at('untied'), tokens: ['x y'] })).rejects.toThrow(/exists/)
    broken(at('none'))
  })
})

describe('a vocabulary that shrinks', () => {
  it.each(['tied', 'on-unigram', 'on-pieces'])(
    'encodes its texts as before, with the same logits: %s',
    async (base) => {
      const out = at(`${base}-small`)
      const { before, after, kept } = await shrinkVocabulary([text], { base: at(base), out })
      expect(after).toBe(kept)
      expect(after).toBeLessThan(before)
      const [old, small] = [await loadTokenizer(at(base)), await loadTokenizer(out)]
      const [ids, own] = [old, small].map((tokenizer) => Array.from(tokenizer.encode(text).ids))
      expect(own.map((id) => small.idToToken(id))).toEqual(ids.map((id) => old.idToToken(id)))
      const [whole, part] = [await logitsOf(at(base), ids), await logitsOf(out, own)]
      const places = Array.from({ length: after }, (_, id) => old.tokenToId(small.idToToken(id) ?? '') ?? -1)
      expect(
        part
          .sub(whole.indexSelect(1, Tensor.from(places, { dtype: 'int64', device: testDevice })))
          .abs()
          .max()
          .item(),
      ).toBeLessThan(1e-6)
      for (const role of ['bos', 'eos', 'pad', 'unk', 'cls', 'sep'] as const)
        expect(small.special[role]?.token).toBe(old.special[role]?.token)
    },
  )
})

describe('a tokenizer that is swapped', () => {
  it.each([
    ['untied', 'other'],
    ['tied', 'unigram'],
    ['on-pieces', 'bpe'],
  ])('keeps the rows of tokens with the same text: %s to %s', async (base, tokenizer) => {
    const out = at(`${base}-${tokenizer}`)
    const { added, kept, after } = await swapTokenizer({ base: at(base), out, tokenizer: at(tokenizer) })
    const [old, own] = [await loadTokenizer(at(base)), await loadTokenizer(out)]
    expect(kept + added.length).toBe(after)
    expect(kept).toBeGreaterThan(20)
    // A word of both, with the space before it as each tokenizer writes it.
    const only = (one: typeof old) => one.encode('x cat', { addSpecialTokens: false }).ids.at(-1) ?? -1
    if (old.idToToken(only(old))?.endsWith('cat') && own.idToToken(only(own))?.endsWith('cat'))
      expect(await rowOf(out, only(own))).toEqual(await rowOf(at(base), only(old)))
    expect(await rowOf(out, own.special.eos?.id ?? own.special.sep!.id)).toEqual(
      await rowOf(at(base), old.special.eos?.id ?? old.special.sep!.id),
    )
  })
})

describe('rows of new tokens under LoRA', () => {
  const recipe = (base: string, out: string, tokens: string[]) => ({
    base: at(base),
    task: 'instructions' as const,
    settings: { maxNewTokens: 4, metrics: [], template: 'chatml' },
    data: at('chats.jsonl'),
    validation: at('chats.jsonl'),
    variant: 'lora' as const,
    adapter: { rank: 2, tokens },
    out: at(out),
    budget: { steps: 10 },
    batch: { sequences: 4 },
    learningRate: 0.05,
  })

  it.each(['tied', 'untied'])('are trained with their adapter, and merge into the base: %s', async (base) => {
    const grown = at(`${base}-chat`)
    await growVocabulary({ base: at(base), out: grown, template: 'chatml' })
    const messages = [
      { role: 'user', content: 'the cat' },
      { role: 'assistant', content: 'a dog' },
    ]
    writeFileSync(at('chats.jsonl'), Array(8).fill(JSON.stringify({ messages })).join('\n'))
    const { out } = await finetune(recipe(`${base}-chat`, `${base}-run`, ['<|im_start|>', '<|im_end|>']))
    const fields = JSON.parse(readFileSync(join(out, 'model', 'adapter_config.json'), 'utf8')) as Record<
      string,
      unknown
    >
    const tokenizer = await loadTokenizer(grown)
    const ids = ['<|im_start|>', '<|im_end|>'].map((token) => tokenizer.tokenToId(token))
    expect(fields.trainable_token_indices).toEqual(base === 'tied' ? ids : { embed_tokens: ids, lm_head: ids })
    const file = await openSafetensors(join(out, 'model', 'adapter_model.safetensors'))
    const key = 'base_model.model.model.embed_tokens.token_adapter.trainable_tokens_delta'
    expect(file.tensor(key).shape).toEqual([2, 16])
    expect((file.tensor(key).select(0, 1).toArray() as number[])[0]).not.toBe((await rowOf(grown, ids[1] ?? -1))[0])
    // The loss computes logits in chunks from the matrix with the rows in it.
    const limits = { lossOn: 'all-answers', tooLong: 'error', maxLength: 100, maxPrompt: 100 } as const
    const { encode, criterion } = createChatEncoder(tokenizer, { template: 'chatml', ...limits })
    const batch = criterion.collate(encode({ turns: [messages[0] as never] }, 'a dog', { file: 'x', line: 1 }), {
      padded: false,
      device: testDevice,
    })
    const { model, applied } = await loadAdapter(join(out, 'model'))
    const loss = () => noGrad(() => criterion.loss(model, batch).terms[0].sum.item())
    const active = loss()
    applied.merge()
    expect(loss()).toBeCloseTo(active, 4)
    applied.unmerge()
    expect(loss()).toBeCloseTo(active, 5)
  })

  it('are refused for a text that is no token, and for a base without their rows', async () => {
    await expect(finetune(recipe('tied-chat', 'none', ['the king likes']))).rejects.toThrow(/vocabulary grow/)
    const { base, ...others } = recipe('tied', 'none', [])
    const larger = { ...others, base, tokenizer: at('tied-chat') }
    await expect(finetune(larger)).rejects.toThrow(/332 tokens.*330 rows.*<\|im_start\|>, <\|im_end\|>/)
    await expect(loadAdapter(join(at('tied-run'), 'model'), { base: at('tied') })).rejects.toThrow(/330, 331.*of 330/)
  })

  it('are reported where a run has the tokenizer before them, and a tokenizer with other ids is refused', async () => {
    const { settings, ...grown } = recipe('tied-chat', 'old-tokenizer', [])
    const old = { ...grown, budget: { steps: 1 }, settings: { ...settings, template: 'plain' }, tokenizer: at('tied') }
    const notes: string[] = []
    const quick = { answers: { duringTraining: 0, atEnd: 0 }, untrainedBaseline: false }
    await finetune({ ...old, ...quick }, { onNote: (line) => notes.push(line) })
    expect(notes.join('\n')).toMatch(/lacks 2 tokens of the base's own: "<\|im_start\|>", "<\|im_end\|>"\./)
    const refused = /\d+ tokens have other ids: ".*" is \d+ and not \d+\..*vocabulary swap/
    await expect(finetune({ ...old, out: at('other-tokenizer'), tokenizer: at('other') })).rejects.toThrow(refused)
    await encodeShards(texts, at('other'), at('other-shards'), { validation: 0.1 }, { workers: 1 })
    const continued = { base: at('tied'), tokenizer: at('other'), data: at('other-shards'), out: at('continued') }
    for (const variant of [undefined, 'lora'] as const) {
      const further = { ...continued, objective: { type: 'causal-lm' as const }, budget: { steps: 1 } }
      await expect(pretrain({ ...further, ...(variant && { variant }) })).rejects.toThrow(refused)
    }
  })
})

it('is a command with JSON', async () => {
  const done = await runHere([
    'vocabulary',
    'grow',
    '--base',
    at('tied'),
    '--tokens',
    'x y z',
    '--out',
    at('cli'),
    '--json',
  ])
  expect(JSON.parse(done.stdout)).toMatchObject({ added: ['x y z'], after: 331 })
})
