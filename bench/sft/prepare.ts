// What both sides of the bench read: instructions in one order, and for a smoke run a small model and its tokenizer as well.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { saveModel } from '../../src/checkpoint/index.ts'
import { buildModel, type ModelDefinition, models } from '../../src/models/index.ts'
import { Generator } from '../../src/tensor/index.ts'
import { trainTokenizer, writeTokenizerFolder } from '../../src/tokenizers/index.ts'
import { bundledLines } from '../book-lines.ts'
import { runJson } from '../side-by-side.ts'
import type { Instruction } from './conversations.ts'

const archive = ['alpaca-gpt4-sample', 'alpaca_en_demo.json.gz']

const write = (folder: string, instructions: readonly Instruction[]): number => {
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'instructions.json'), JSON.stringify(instructions))
  return instructions.length
}

/** The Alpaca sample in the order in which the peer shuffles it, so that the first rows are the ones that it holds out. */
export const prepareAlpaca = async (folder: string, data: string, python: string | undefined): Promise<number> => {
  const all = JSON.parse(gunzipSync(readFileSync(join(data, ...archive))).toString()) as Instruction[]
  if (python === undefined) return write(folder, all)
  const shuffle =
    'import json,random,sys; o=list(range(int(sys.argv[1]))); random.Random(0).shuffle(o); print(json.dumps(o))'
  const order = await runJson<number[]>(python, ['-c', shuffle, String(all.length)])
  return write(
    folder,
    order.map((i) => all[i]),
  )
}

/** Halves of bundled lines as questions and answers, and a model of random weights. Returns the model's folder. */
export const prepareSmoke = async (folder: string): Promise<string> => {
  const paragraphs = await bundledLines(60, [80, 400])
  write(
    folder,
    paragraphs.map((line) => ({ instruction: line.slice(0, 40), input: '', output: line.slice(40, 160) })),
  )
  const path = join(folder, 'model')
  const { files } = await trainTokenizer(paragraphs, { type: 'bpe', vocabSize: 400, validation: 0 })
  await writeTokenizerFolder(path, files)
  const definition = models.llama as ModelDefinition
  const size = { hiddenSize: 64, numLayers: 2, numHeads: 4, intermediateSize: 128, vocabSize: 512, maxPositions: 256 }
  const model = buildModel(definition, definition.adjust({}, size), 'causal-lm')
  await saveModel(model.initialize({ std: 0.02, generator: new Generator(0) }), path, { tokenizer: path })
  return path
}
