// Perplexity of SmolLM2 in types of few bits: with and without an importance matrix, in our program and in llama.cpp, and of the
// files that llama.cpp makes of the float32 one with a matrix that it collects on the same text.
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gunzipSync } from 'node:zlib'
import { loadModel, loadTokenizer } from '../../src/checkpoint/index.ts'
import { mixes } from '../../src/export/gguf/mixes.ts'
import { exportModel } from '../../src/export/index.ts'
import { freeModel } from '../../src/export/proof/compare-models.ts'
import { runModel } from '../../src/export/proof/runner.ts'
import { peersPython } from '../side-by-side.ts'

type Say = (values: object) => void

const chunk = 512
const types = ['q2_k', 'q3_k_m', 'iq4_xs', 'q4_k_m']

const read = (...path: string[]): string => gunzipSync(readFileSync(join(...path))).toString()

/** Perplexity of the second half of each chunk of 512 tokens, in our program. */
const perplexity = async (path: string, ids: readonly number[]): Promise<number> => {
  const model = (await loadModel(path)).eval()
  const runner = runModel(model)
  let [total, count] = [0, 0]
  for (let from = 0; from + chunk <= ids.length; from += chunk) {
    const some = ids.slice(from, from + chunk)
    const logits = await runner.logits({ ids: some })
    const width = logits.length / chunk
    for (let row = chunk / 2; row < chunk - 1; row++) {
      const values = logits.subarray(row * width, (row + 1) * width)
      const most = values.reduce((a, b) => Math.max(a, b))
      total += Math.log(values.reduce((sum, value) => sum + Math.exp(value - most), 0)) + most - values[some[row + 1]]
      count++
    }
  }
  freeModel(model)
  return Math.exp(total / count)
}

/** The folder of libraries of node-llama-cpp for this machine. */
const libraries = (): string => {
  const packages = join(dirname(fileURLToPath(import.meta.resolve('node-llama-cpp'))), '..', '..', '@node-llama-cpp')
  const own = join(packages, `${process.platform}-${process.arch}`, 'bins')
  return join(own, readdirSync(own)[0])
}

/** Exports and compares. @param base folder of SmolLM2 @param data folder of the shared data */
export const lowBits = async (root: string, base: string, data: string, smoke: boolean, say: Say): Promise<void> => {
  const [calibrationChunks, textChunks] = smoke ? [1, 1] : [8, 4]
  const tokenizer = await loadTokenizer(base)
  const idsOf = (text: string) => Array.from(tokenizer.encode(text, { addSpecialTokens: false }).ids)
  const c4 = read(data, 'c4-sample', 'c4_demo.jsonl.gz').trim().split('\n')
  const joined = c4.map((line) => (JSON.parse(line) as { text: string }).text).join('\n')
  // Whole chunks, since llama.cpp leaves out the rest: the decoded ids must be the same ids again.
  let calibrationText = tokenizer.decode(idsOf(joined.slice(0, 200_000)).slice(0, calibrationChunks * chunk))
  while (idsOf(calibrationText).length > calibrationChunks * chunk) calibrationText = calibrationText.slice(0, -1)
  const text = idsOf(read(data, 'wikitext-2', 'valid.txt.gz').slice(0, 200_000)).slice(0, textChunks * chunk)
  const quantised = types.slice(0, smoke ? 1 : undefined)
  const to = quantised.map((type) => `gguf:${type}`)
  const [plain, weighted] = [join(root, 'plain'), join(root, 'weighted')]
  await exportModel({ model: base, to: ['gguf:f32', ...to], out: plain, prove: false })
  await exportModel({ model: base, to, out: weighted, prove: false, imatrix: [calibrationText] })
  const fileIn = (out: string, type: string) => {
    const folder = join(out, 'gguf')
    return join(folder, readdirSync(folder).find((name) => name.endsWith(`-${type.toUpperCase()}.gguf`)) ?? '')
  }
  const files = Object.fromEntries(
    quantised.flatMap((type) => [
      [type, fileIn(plain, type)],
      [`${type} with importance`, fileIn(weighted, type)],
    ]),
  )
  for (const [file, path] of Object.entries({ float32: fileIn(plain, 'f32'), ...files }))
    say({ in: 'tunesmith', file, perplexity: await perplexity(path, text) })
  const python = peersPython()
  if (python === undefined) return say({ python: 'skipped: node bench/peers/setup.mjs installs it' })
  const script = join(import.meta.dirname, '..', 'peers', 'llama_low_bits.py')
  const input = {
    float32: fileIn(plain, 'f32'),
    calibration: idsOf(calibrationText),
    text,
    types: Object.fromEntries(quantised.map((type) => [type, mixes[type].code])),
    files,
  }
  execFileSync(python, [script, libraries()], { input: JSON.stringify(input), stdio: ['pipe', 'inherit', 'inherit'] })
}
