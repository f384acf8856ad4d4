// `open` and its methods on small random models: each method equals the lower-level function it stands for, and a model with another head
// is refused by name.
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { applyAdapter, saveAdapter } from '../../src/adapters/index.ts'
import { loadModel, loadTokenizer, saveModel } from '../../src/checkpoint/index.ts'
import { embedTexts } from '../../src/features/index.ts'
import { generate } from '../../src/generation/index.ts'
import { evaluate, open, predict, renderEvaluation, renderPrediction, score } from '../../src/inference/index.ts'
import { buildModel, type HeadOptions, type HeadType, type ModelDefinition, models } from '../../src/models/index.ts'
import { type BlockMatrix, Linear } from '../../src/nn/index.ts'
import { defineTask, registerTask, tasks } from '../../src/tasks/index.ts'
import { encodeRows, Generator, liveTensors, packInt8Rows, setThreads, type Tensor } from '../../src/tensor/index.ts'

const golden = (name: string) => fileURLToPath(new URL(`../language-modelling/golden/${name}`, import.meta.url))

let root: string
const at = (name: string) => join(root, name)

/** A random BERT with the given head in a folder of its own. */
const saveBert = async (name: string, head: HeadType, headOptions: Partial<HeadOptions> = {}) => {
  const tokenizer = await loadTokenizer(golden('bert'))
  const definition = models.bert as unknown as ModelDefinition
  const config = definition.adjust(definition.presets.test, { vocabSize: tokenizer.maxId + 1, maxPositions: 256 })
  const model = buildModel(definition, config, head, headOptions).initialize({ std: 0.4, generator: new Generator(7) })
  await saveModel(model, at(name), { tokenizer: golden('bert') })
}

beforeAll(async () => {
  // Threads only cost time at this size.
  setThreads(1)
  root = mkdtempSync(join(tmpdir(), 'tunesmith-open-'))
  await saveBert('classes', 'sequence-classification', { labels: ['bad', 'good'] })
  await saveBert('regression', 'sequence-classification', { labels: ['score'], problemType: 'regression' })
  await saveBert('tags', 'token-classification', { labels: ['O', 'B-place', 'I-place'] })
  await saveBert('spans', 'question-answering')
})
afterAll(() => rmSync(root, { recursive: true, force: true }))

describe('open', () => {
  it.each([
    [undefined, 'undefined'],
    ['', 'an empty text'],
    [{ model: 'a' }, '{"model":"a"}'],
  ])('refuses %j in place of a model', async (given, shown) => {
    const message = `Expected a folder, a .gguf file or a Hub id for \`model\`, got ${shown}.`
    for (const load of [open, loadModel]) await expect(load(given as string)).rejects.toThrow(message)
  })

  it('classifies one text and several, with probabilities that sum to one', async () => {
    const model = await open(at('classes'))
    const one = await model.classify('the sea and the ships')
    expect(Object.keys(one.probabilities!).sort()).toEqual(['bad', 'good'])
    expect(Object.values(one.probabilities!).reduce((sum, share) => sum + share)).toBeCloseTo(1, 3)
    for (const wrong of [null, undefined, 3, ['a', null]])
      expect(() => model.classify(wrong as never)).toThrow(/^Expected a text, or an object with `text` and `pair`, for/)
    const both = await model.classify(['the sea and the ships', 'a'])
    for (const [i, alone] of [one, await model.classify('a')].entries()) {
      expect(both[i].label).toBe(alone.label)
      // Libraries choose their kernels by the number of rows: the last digit may differ.
      for (const [label, share] of Object.entries(alone.probabilities!))
        expect(both[i].probabilities![label]).toBeCloseTo(share, 5)
    }
    expect(await model.predict(['a'])).toEqual([{ text: 'a', ...(await model.classify('a')) }])
    expect(model.labels).toEqual(['bad', 'good'])
    await model.embed('a')
    model.close()
    const closed = /Expected an open model, got one that `close` has freed\. Open it again\./
    for (const call of [() => model.classify('a'), () => model.embed('a'), () => model.predict(['a'])])
      await expect((async () => call())()).rejects.toThrow(closed)
    expect(() => model.model).toThrow(closed)
    expect(() => model.close()).not.toThrow()
  })

  it('predicts with the task that a run recorded, where a package registered it', async () => {
    const { type: _, ...parts } = tasks['sequence-classification']
    const own = defineTask({
      ...parts,
      type: 'reviews-with-their-ending',
      recordFromInput: (fields, id, config) =>
        parts.recordFromInput({ ...fields, text: `${fields.text} and the ships` }, id, config),
    })
    registerTask(own as never)
    cpSync(at('classes'), at('own-task'), { recursive: true })
    writeFileSync(
      join(at('own-task'), 'task.json'),
      JSON.stringify({ task: own.type, settings: { text: 'text', label: 'label' } }),
    )
    const [plain, recorded] = [await open(at('classes')), await open(at('own-task'))]
    const wanted = await plain.classify('the sea and the ships')
    expect(await recorded.classify('the sea')).toEqual(wanted)
    expect(wanted).not.toEqual(await plain.classify('the sea'))
    const { predictions } = await predict({ model: at('own-task'), texts: ['the sea'] })
    expect(predictions).toEqual([{ text: 'the sea', ...wanted }])
    plain.close()
    recorded.close()
  })

  it('predicts a number with a regression model', async () => {
    const model = await open(at('regression'))
    expect((await model.classify('the sea')).value).toBeTypeOf('number')
    model.close()
  })

  // transformers computes the loss of one label without `problem_type` as that of a number; cross-encoders are such files.
  it('predicts a number with one label and no problem type', async () => {
    cpSync(at('regression'), at('one-label'), { recursive: true })
    const file = join(at('one-label'), 'config.json')
    const { problem_type: _, ...fields } = JSON.parse(readFileSync(file, 'utf8'))
    writeFileSync(file, JSON.stringify({ ...fields, id2label: { 0: 'LABEL_0' } }))
    const [wanted, model] = [await open(at('regression')), await open(at('one-label'))]
    const pairs = [
      { text: 'the sea', pair: 'the ships' },
      { text: 'the sea', pair: 'and so on' },
    ]
    const found = await model.classify(pairs)
    expect(found).toEqual(await wanted.classify(pairs))
    expect(found[0].value).not.toBe(found[1].value)
    expect(() => model.classify([{ text: 'the sea', pairs: 'the ships' } as never])).toThrow(/unknown key `pairs`/)
    expect(() => model.classify('the sea', { maxlength: 3 } as never)).toThrow(/did you mean `maxLength`/i)
    for (const one of [wanted, model]) one.close()
  })

  it('extracts entities at their character offsets', async () => {
    const model = await open(at('tags'))
    const text = 'the sea, and the ships of the sea'
    const entities = await model.extract(text)
    for (const { start, end, text: found } of entities) expect(text.slice(start, end)).toBe(found)
    // The random model tags some word of these two texts, or the loop above tests nothing.
    const both = await model.extract([text, 'ships ships ships and so on'])
    expect(both.flat().length).toBeGreaterThan(0)
    expect(both[0]).toEqual(entities)
    model.close()
  })

  it('answers a question with a span of the context', async () => {
    const model = await open(at('spans'))
    const context = 'the ships sailed on the sea every day'
    const { answer } = await model.answer('what sailed', { context })
    expect(context).toContain(answer)
    await expect(model.answer('what sailed')).rejects.toThrow(/needs a `context`/)
    model.close()
  })

  it('fills masks, most likely token first', async () => {
    const model = await open(golden('bert'))
    const { masks, filled } = model.fillMask('the [MASK] and the ships', { topK: 3 })
    expect(masks[0]).toHaveLength(3)
    expect(masks[0][0].probability).toBeGreaterThanOrEqual(masks[0][1].probability)
    expect(filled).not.toContain('[MASK]')
    for (const topK of [0, -2, 1.5]) expect(() => model.fillMask('a [MASK]', { topK })).toThrow(/`?topK`?/)
    expect(() => model.fillMask(['a [MASK]'] as never)).toThrow('Expected a text for `fillMask`, got ["a [MASK]"]')
    model.close()
  })

  it('embeds texts as the embedding head does', async () => {
    const model = await open(at('classes'))
    const texts = ['the sea', 'a much longer text about the sea']
    const vectors = await model.embed(texts)
    const reference = await loadModel(at('classes'), { head: 'embedding' })
    const expected = (await embedTexts(reference, await loadTokenizer(at('classes')), texts)).toFloat32Array()
    expect([...vectors[0], ...vectors[1]]).toEqual([...expected])
    const alone = await model.embed('the sea')
    vectors[0].forEach((value, i) => {
      expect(alone[i]).toBeCloseTo(value, 5)
    })
    expect(() => model.embed(texts, { pooling: 'tokens' as never })).toThrow(/one vector for each text, got tokens/)
    await expect(model.embed(['a', null as never])).rejects.toThrow(
      'Expected a text or token ids for `texts[1]`, got null.',
    )
    await expect(model.embed(5 as never)).rejects.toThrow('Expected a text or token ids for `texts[0]`, got 5.')
    model.close()
  })

  it('generates one whole text for each prompt, or none', async () => {
    const model = await open(golden('gpt2'))
    const signal = AbortSignal.abort(new Error('enough'))
    for (const prompts of ['the sea', ['the sea', 'the ships']])
      await expect(model.generate(prompts as string, { maxNewTokens: 6, signal })).rejects.toThrow('enough')
    expect(() => model.generate('the sea', { sample: true, numReturnSequences: 3 })).toThrow(
      'Expected 1 for `numReturnSequences`, got 3. Call the function `generate`',
    )
    model.close()
  })

  it('generates and streams the text that `generate` gives', async () => {
    const model = await open(golden('gpt2'))
    const options = { maxNewTokens: 6 }
    const [{ text }] = await generate(model.model, model.tokenizer, ['the sea'], options)
    expect(await model.generate('the sea', options)).toBe(text)
    expect(await model.generate(['the sea', 'a'], options)).toHaveLength(2)
    let streamed = ''
    for await (const piece of model.stream('the sea', options)) streamed += piece
    expect(streamed).toBe(text)
    model.close()
  })

  it('opens an adapter on its base', async () => {
    const base = await loadModel(at('classes'))
    const applied = applyAdapter(base, { type: 'lora', rank: 2 })
    await saveAdapter(applied, at('adapter'), { tokenizer: at('classes') } as never)
    const model = await open(at('adapter'))
    expect((await model.classify('the sea')).label).toMatch(/^(good|bad)$/)
    model.close()
  })

  it.each([
    ['q8_0', 'Q8_0', (weight: Tensor) => encodeRows(weight, 'Q8_0')],
    ['int8', 'int8', packInt8Rows],
  ] as const)(
    'quantises the matrices of a folder to %s, which frees them and changes answers little',
    async (weights, format, encode) => {
      const [exact, quantised] = [await open(at('classes')), await open(at('classes'), { weights })]
      const linears = (model: typeof exact) =>
        [...model.model.body.modules()].flatMap(([, module]) => (module instanceof Linear ? [module] : []))
      const [before, after] = [linears(exact), linears(quantised)]
      expect(after.length).toBeGreaterThan(5)
      for (const [i, layer] of after.entries()) {
        const matrix = layer.quantizedMatrix as BlockMatrix
        expect(layer.quantization).toBe(format)
        expect(matrix.codes.toTypedArray()).toEqual(
          encode(before[i].weight.detach().to({ device: 'cpu' })).toTypedArray(),
        )
      }
      const texts = ['the sea and the ships', 'a', 'those who sail on them']
      const [own, theirs] = [await exact.classify(texts), await quantised.classify(texts)]
      for (const [i, { probabilities = {} }] of own.entries())
        for (const [label, share] of Object.entries(probabilities))
          expect(Math.abs(theirs[i].probabilities![label] - share)).toBeLessThan(0.05)
      expect(theirs).not.toEqual(own)
      exact.close()
      const live = liveTensors()
      quantised.close()
      expect(live - liveTensors()).toBeGreaterThan(20)
    },
  )

  it('refuses forms of weights that files cannot have', async () => {
    await expect(open(at('classes'), { weights: 'packed' })).rejects.toThrow(
      /`weights: packed` needs a .gguf file, got .*classes. Leave it out, or set it to q8_0 or int8/,
    )
    await expect(open(at('classes'), { weights: 'q8_0', dtype: 'bfloat16' })).rejects.toThrow(
      /`weights: q8_0` has float32 beside the matrices: leave out `dtype`/,
    )
    await expect(open(at('adapter'), { weights: 'int8' })).rejects.toThrow(
      /`weights: int8` quantises a whole model, got .*adapter, which is an adapter on a base/,
    )
  })

  it('refuses options that it does not know, whatever the types say', async () => {
    const slip = { taks: 'x' } as object
    const model = at('classes')
    await expect(open(model, slip)).rejects.toThrow(/for `open`, got the unknown key `taks`\. Did you mean `task`\?/)
    await expect(predict({ model, texts: 'a', ...slip })).rejects.toThrow(/for `predict`, got the unknown key `taks`/)
    await expect(evaluate({ model, ...slip })).rejects.toThrow(/for `evaluate`, got the unknown key `taks`/)
    await expect(loadModel(model, slip)).rejects.toThrow(/for `loadModel`, got the unknown key `taks`/)
    await expect(predict(null as never)).rejects.toThrow('Expected an object for `predict`, got null.')
    const tokenizer = await loadTokenizer(model)
    expect(() => tokenizer.encode('a', { addSpecialToken: false } as object)).toThrow(/Did you mean `addSpecialTokens`/)
  })

  it('frees every weight on close', async () => {
    const model = await open(at('classes'))
    await model.embed('a')
    const before = liveTensors()
    model.close()
    expect(before - liveTensors()).toBeGreaterThan(20)
  })

  it('names the method that fits when the head does not', async () => {
    const model = await open(at('classes'))
    expect(() => model.fillMask('a [MASK]')).toThrow(
      'Expected a model with the head masked-lm for `fillMask`, got sequence-classification. Use the method that fits: classify or embed.',
    )
    expect(() => model.generate('a')).toThrow(/Use the method that fits: classify or embed/)
    model.close()
  })
})

describe('predict, evaluate and score', () => {
  it('predict loads a model and answers in the order of the texts', async () => {
    const { head, predictions } = await predict({ model: at('classes'), texts: ['a', 'the sea'] })
    expect(head).toBe('sequence-classification')
    expect(predictions).toMatchObject([{ text: 'a' }, { text: 'the sea' }])
    const alone = await predict({ model: at('classes'), texts: 'the sea' })
    expect(alone.predictions).toEqual([predictions[1]])
    const cut = await predict({ model: at('classes'), texts: 'the sea '.repeat(8), options: { maxLength: 8 } })
    expect(cut.predictions).toMatchObject([{ truncatedTokens: 26 }])
    expect(renderPrediction(head, cut.predictions[0])).toMatch(/\n {2}The end of the text, 26 tokens, was truncated\.$/)
    await expect(predict({ model: at('classes'), texts: ['a'], options: { topK: 3 } })).rejects.toThrow(/topK/)
    await expect(predict({ model: at('classes'), texts: [] })).rejects.toThrow(/at least one text/)
    await expect(predict({ model: at('classes'), texts: ['a'], head: 'embedding' })).rejects.toThrow(
      /for `predict`, got embedding\. Use `open` in TypeScript with its method embed, or `serve`,/,
    )
  })

  it('predict answers questions from a context, with the spans that `open` gives', async () => {
    const context = 'the ships sailed on the sea every day'
    const questions = ['what sailed', 'when']
    const { head, predictions } = await predict({ model: at('spans'), texts: questions, options: { context } })
    expect(head).toBe('question-answering')
    const model = await open(at('spans'))
    for (const [i, question] of questions.entries())
      expect(predictions[i]).toEqual({ question, ...(await model.answer(question, { context })) })
    model.close()
    const found = { question: 'what sailed', answer: 'the ships', alternatives: [{ answer: 'sea', probability: 0.25 }] }
    expect(renderPrediction(head, found)).toBe('what sailed\n  the ships (sea 25.0 %)')
    expect(renderPrediction(head, { question: 'why', answer: '', noAnswerProbability: 0.9 })).toBe(
      'why\n  no answer (no answer 90.0 %)',
    )
    // 64 tokens of a question are read, in however many windows of the context.
    const long = 'the '.repeat(70).trim()
    const cut = await predict({ model: at('spans'), texts: long, options: { context: `${context} `.repeat(40) } })
    expect(cut.predictions).toMatchObject([{ question: long, truncatedTokens: 6 }])
    expect(renderPrediction(head, cut.predictions[0])).toMatch(
      /\n {2}The end of the question, 6 tokens, was truncated\.$/,
    )
    for (const options of [{}, { context: '' }])
      await expect(predict({ model: at('spans'), texts: questions, options })).rejects.toThrow(
        'An extractive model needs `context`: set it to the text that holds the answers.',
      )
  })

  it('evaluate measures a task, and score gives the same numbers for its predictions', async () => {
    const { writeFileSync } = await import('node:fs')
    const rows = ['the sea', 'a', 'ships', 'and so on'].map((text, i) => ({
      id: `${i}`,
      text,
      label: i % 2 ? 'good' : 'bad',
    }))
    writeFileSync(at('rows.jsonl'), rows.map((row) => `${JSON.stringify(row)}\n`).join(''))
    const task = 'sequence-classification'
    const result = await evaluate({
      model: at('classes'),
      task,
      data: at('rows.jsonl'),
      options: { predictions: at('predictions.jsonl') },
    })
    const scored = await score({ task, references: at('rows.jsonl'), predictions: at('predictions.jsonl') })
    expect((result.metrics as typeof scored.metrics).accuracy).toEqual(scored.metrics.accuracy)
    expect(result.notes).toBeUndefined()
    const numbered = rows.map((row, i) => `${JSON.stringify({ ...row, label: i % 2 })}\n`)
    writeFileSync(at('numbered.jsonl'), numbered.join(''))
    const again = await evaluate({ model: at('classes'), task, data: at('numbered.jsonl') })
    expect(again.metrics).toEqual(result.metrics)
    expect(again.notes).toEqual([expect.stringMatching(/numbers of the model's classes: 0 = bad, 1 = good\./)])
    expect(renderEvaluation(again)).toContain((again.notes as string[])[0])
    await expect(evaluate({ model: at('classes'), data: at('rows.jsonl') })).rejects.toThrow(/needs a task/)
    await expect(evaluate({ model: at('classes'), task: 'sequence-clasification' })).rejects.toThrow(
      /Did you mean `?sequence-classification/,
    )
  })
})
