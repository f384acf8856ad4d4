// Exports of real models in the programs that use them: `npm run bench -- shipping [PART …] [--smoke]`.
//   lora       SmolLM2-135M, some steps of LoRA on instructions, as merged folder, GGUF and adapter; chats in node-llama-cpp
//   tokenizer  a byte-level BPE tokenizer trained here, in llama.cpp
//   t5         an encoder-decoder that summarises, in the pipeline of transformers.js
//   minilm     MiniLM on SST-2 in 8 bits, in the pipeline of transformers.js in Node and in Chromium
//   low-bits   perplexity of SmolLM2 in few bits, with and without an importance matrix, beside llama.cpp's own files
//   writing    CPU time and memory of writing a 124M model (not timed beside other work: CPU time of this process)
// BASE names the folder of SmolLM2, DATA the shared data, STEPS the steps of fine-tuning. node-llama-cpp must be installed beside the program.
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { loadTokenizer, saveModel } from '../src/checkpoint/index.ts'
import { exportModel } from '../src/export/index.ts'
import { openSource } from '../src/export/open-source.ts'
import { RelativeDifference, rounded } from '../src/export/proof/differences.ts'
import { runModel } from '../src/export/proof/runner.ts'
import { open } from '../src/inference/index.ts'
import { buildModel, models } from '../src/models/index.ts'
import { finetune } from '../src/runs/index.ts'
import { Generator } from '../src/tensor/index.ts'
import { trainTokenizer } from '../src/tokenizers/index.ts'
import type { BenchOptions } from './main.ts'
import { lowBits } from './shipping/low-bits.ts'
import { minilm } from './shipping/minilm.ts'
import { writing } from './shipping/writing.ts'
import { peersPython } from './side-by-side.ts'

const data = process.env.DATA ?? join(import.meta.dirname, '..', '..', 'shared', 'data')
const base = process.env.BASE ?? join(homedir(), '.cache', 'tunesmith', 'smollm2-hf')

/** Steps of fine-tuning. */
const steps = (usual: number): number => Number(process.env.STEPS ?? usual)

const say = (part: string, values: object): void => console.log(JSON.stringify({ part, ...values }))

/** What is used of node-llama-cpp, which is installed by hand. */
interface LlamaPackage {
  getLlama(options: object): Promise<{
    loadModel(options: object): Promise<{
      tokenize(text: string): number[]
      createContext(options: object): Promise<{ getSequence(): object }>
    }>
    dispose(): Promise<void>
  }>
  LlamaChatSession: new (options: object) => { prompt(text: string, options: object): Promise<string> }
}

const loadLlama = async (): Promise<LlamaPackage> => {
  const name = 'node-llama-cpp'
  return (await import(name)) as LlamaPackage
}

const openInLlamaCpp = async (path: string) => {
  const { getLlama, LlamaChatSession } = await loadLlama()
  const llama = await getLlama({ gpu: false, build: 'never', progressLogs: false, logLevel: 'error' })
  const model = await llama.loadModel({ modelPath: path, gpuLayers: 0 })
  return { llama, model, LlamaChatSession }
}

const chats = async (path: string, question: string): Promise<string> => {
  const { llama, model, LlamaChatSession } = await openInLlamaCpp(path)
  const context = await model.createContext({ contextSize: 512 })
  const session = new LlamaChatSession({ contextSequence: context.getSequence() })
  const answer = await session.prompt(question, { maxTokens: 48, temperature: 0 })
  await llama.dispose()
  return answer
}

/** Logits of a merged folder in transformers and of its adapter in PEFT, against ours. */
const inPython = async (root: string, { merged, adapter }: { merged: string; adapter: string }): Promise<void> => {
  const python = peersPython()
  if (python === undefined) return say('lora', { python: 'skipped: node bench/peers/setup.mjs installs it' })
  const { model, tokenizer } = await openSource({ model: adapter })
  const texts = ['The capital of France is', 'def add(a, b):', 'Größe, café, 你好'].map((text) =>
    Array.from(tokenizer.encode(text).ids),
  )
  const input = join(root, 'texts.json')
  writeFileSync(input, JSON.stringify(texts))
  const script = join(import.meta.dirname, 'peers', 'exported.py')
  const stdout = execFileSync(python, [script, merged, base, adapter], {
    input: readFileSync(input),
    env: { ...process.env, HF_HUB_OFFLINE: '1' },
    maxBuffer: 2 ** 30,
  })
  const theirs = JSON.parse(String(stdout)) as Record<'merged' | 'adapter', number[][]>
  for (const [name, lists] of Object.entries(theirs)) {
    const found = new RelativeDifference()
    for (const [i, ids] of texts.entries()) found.add(await runModel(model).logits({ ids }), lists[i])
    say('lora', {
      in: name === 'merged' ? 'transformers, merged folder' : 'PEFT, adapter',
      logits: rounded(found.value),
    })
  }
}

const lora = async (root: string, smoke: boolean): Promise<void> => {
  const instructions = join(root, 'instructions.json')
  writeFileSync(instructions, gunzipSync(readFileSync(join(data, 'alpaca-gpt4-sample', 'alpaca_en_demo.json.gz'))))
  const run = join(root, 'smollm2-lora')
  await finetune({
    base,
    task: 'instructions',
    settings: { tooLong: 'drop', maxNewTokens: 48 },
    data: instructions,
    variant: 'lora',
    adapter: { targets: 'all-linear', rank: 16, alpha: 32, rsLora: true },
    out: run,
    maxLength: 128,
    batch: { sequences: 8, microTokens: 1024 },
    budget: { steps: smoke ? 2 : steps(20) },
    learningRate: 2e-4,
    answers: { duringTraining: 0, atEnd: 0, samples: 0 },
  } as never)
  const out = join(root, 'smollm2-out')
  const { files, proof } = await exportModel({
    model: run,
    to: ['merged', 'gguf:q8_0', 'gguf:q4_k_m', 'gguf-adapter'],
    out,
  })
  for (const { target, consumer, check, value, limit } of proof) say('lora', { target, consumer, check, value, limit })
  await inPython(root, { merged: join(out, 'merged'), adapter: join(run, 'model') })
  const question = 'What is the capital of France?'
  for (const { name, bytes } of files)
    if (name.startsWith('gguf/') && name.endsWith('.gguf'))
      say('lora', { file: name, bytes, question, answer: await chats(join(out, name), question) })
}

const shakespeare = (): string => readFileSync(join(data, 'tinyshakespeare', 'input.txt'), 'utf8')

/** A byte-level BPE tokenizer that is trained here. */
const trainBpe = async (root: string): Promise<string> => {
  const { files } = await trainTokenizer(shakespeare().split('\n\n'), { type: 'bpe', vocabSize: 4096 })
  const folder = join(root, 'bpe')
  mkdirSync(folder, { recursive: true })
  for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content)
  return folder
}

const tokenizer = async (root: string): Promise<void> => {
  const text = shakespeare()
  const folder = await trainBpe(root)
  const config = models.llama.adjust(models.llama.presets.test, { vocabSize: 4096 })
  const model = buildModel(models.llama, config, 'causal-lm').initialize({ std: 0.1, generator: new Generator(1) })
  await saveModel(model.eval(), join(root, 'own'), { tokenizer: folder })
  const out = join(root, 'own-out')
  await exportModel({ model: join(root, 'own'), to: 'gguf:f16', out, prove: false })
  const { llama, model: opened } = await openInLlamaCpp(join(out, 'gguf', 'own-F16.gguf'))
  const ours = await loadTokenizer(folder)
  const texts = [
    ...text.split('\n\n'),
    ...readFileSync(join(data, 'sst2', 'dev.tsv'), 'utf8').split('\n'),
    'naïve Füße 你好 Привет 🙂 ½',
  ].filter((one) => one !== '')
  let [same, tokens] = [0, 0]
  for (const one of texts) {
    const ids = Array.from(ours.encode(one, { addSpecialTokens: false }).ids)
    tokens += ids.length
    if (ids.join() === opened.tokenize(one).join()) same++
  }
  say('tokenizer', { texts: texts.length, tokens, same })
  await llama.dispose()
}

const t5 = async (root: string, smoke: boolean): Promise<void> => {
  const records = readFileSync(join(data, 'dialogsum', 'dialogsum.dev.jsonl'), 'utf8')
    .trim()
    .split('\n')
  const texts = records.map((line) => (JSON.parse(line) as { dialogue: string }).dialogue)
  const { files } = await trainTokenizer(texts, { type: 'unigram', vocabSize: 2000 })
  const folder = join(root, 'unigram')
  mkdirSync(folder)
  for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content)
  const changes = {
    vocabSize: 2000,
    hiddenSize: 128,
    numLayers: 3,
    numDecoderLayers: 3,
    numHeads: 4,
    intermediateSize: 256,
  }
  const config = models.t5.adjust(models.t5.presets.test, changes)
  const model = buildModel(models.t5, config, 'seq2seq-lm').initialize({ std: 0.05, generator: new Generator(1) })
  await saveModel(model.eval(), join(root, 't5-base'), { tokenizer: folder })
  const run = join(root, 't5-run')
  await finetune({
    base: join(root, 't5-base'),
    task: 'summarization',
    settings: { text: 'dialogue' },
    data: join(data, 'dialogsum', 'dialogsum.dev.jsonl'),
    variant: 'full',
    out: run,
    maxLength: 256,
    batch: { sequences: 16, microTokens: 4096 },
    budget: { steps: smoke ? 2 : steps(100) },
    learningRate: 3e-3,
    answers: { duringTraining: 0, atEnd: 0, samples: 0 },
  } as never)
  const out = join(root, 't5-out')
  const { proof } = await exportModel({ model: run, to: ['onnx', 'onnx:q8'], out })
  for (const { target, consumer, check, value, limit } of proof) say('t5', { target, consumer, check, value, limit })
  const { env, pipeline } = await import('@huggingface/transformers')
  const exported = join(out, 'onnx')
  env.allowRemoteModels = false
  env.localModelPath = `${dirname(exported)}/`
  const ours = await open(run)
  for (const dtype of ['fp32', 'q8'] as const) {
    const summarise = await pipeline('summarization', basename(exported), { dtype, device: 'cpu' })
    let same = 0
    const some = texts.slice(0, smoke ? 2 : 50).map((text) => text.slice(0, 400))
    for (const text of some) {
      const theirs = (await summarise(text, { max_new_tokens: 24, do_sample: false } as never)) as unknown as {
        summary_text: string
      }[]
      if (theirs[0].summary_text === (await ours.generate(text, { maxNewTokens: 24 }))) same++
    }
    say('t5', { dtype, summaries: some.length, same })
  }
}

export const run = async ({ smoke, rest }: BenchOptions): Promise<void> => {
  const root = mkdtempSync(join(tmpdir(), 'tunesmith-shipping-'))
  const wanted = (part: string) => rest.length === 0 || rest.includes(part)
  try {
    if (wanted('tokenizer')) await tokenizer(root)
    if (wanted('writing')) await writing(root, await trainBpe(root), smoke, (values) => say('writing', values))
    if (wanted('minilm')) await minilm(root, data, smoke, (values) => say('minilm', values))
    if (wanted('t5')) await t5(root, smoke)
    if (wanted('low-bits')) await lowBits(root, base, data, smoke, (values) => say('low-bits', values))
    if (wanted('lora')) await lora(root, smoke)
  } finally {
    rmSync(root, { recursive: true, force: true })
  }
}
