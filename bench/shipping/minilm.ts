// MiniLM fine-tuned on SST-2, exported to ONNX in 8 bits, in the pipeline of transformers.js: in Node and in Chromium, from the
// page that the export writes. Labels of 872 validation sentences against our own predictions in float32.

import { readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { basename, dirname, extname, join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { chromium } from 'playwright-core'
import { exportModel } from '../../src/export/index.ts'
import { open } from '../../src/inference/index.ts'
import { finetune } from '../../src/runs/index.ts'
import { loadScript } from '../../tests/setup/load-script.ts'
import { miniLmFolder } from '../side-by-side.ts'

type Say = (values: object) => void
interface Classified {
  label: string
}

const types: Record<string, string> = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
  '.json': 'application/json',
  '.wasm': 'application/wasm',
}

/** Labels that the pipeline gives in Chromium, from a folder of the target `web`. */
const labelsInChromium = async (folder: string, texts: readonly string[]): Promise<string[]> => {
  const { findBrowser } = await loadScript<{ findBrowser(): string | undefined }>('browser.mjs')
  const server = createServer((request, response) => {
    const path = join(folder, new URL(request.url ?? '/', 'http://x').pathname)
    try {
      const content = readFileSync(path)
      response.writeHead(200, { 'content-type': types[extname(path)] ?? 'application/octet-stream' }).end(content)
    } catch {
      response.writeHead(404).end()
    }
  }).listen(0, '127.0.0.1')
  const browser = await chromium.launch({ executablePath: findBrowser(), args: ['--no-sandbox'] })
  try {
    const page = await browser.newPage()
    page.setDefaultTimeout(0)
    await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/index.html`)
    return await page.evaluate(
      async ({ all, base }) => {
        const library = './transformers.min.js'
        const { env, pipeline } = await import(library)
        Object.assign(env, {
          allowRemoteModels: false,
          allowLocalModels: true,
          localModelPath: './',
          useBrowserCache: false,
        })
        // No function of its own: the page does not have what tsx adds to name one.
        const runtime = new URL('ort-wasm-simd-threaded.asyncify.', base).href
        env.backends.onnx.wasm.wasmPaths = { mjs: `${runtime}mjs`, wasm: `${runtime}wasm` }
        const classify = await pipeline('text-classification', 'model', { dtype: 'q8', device: 'wasm' })
        const found: string[] = []
        for (const text of all) found.push((await classify(text))[0].label)
        return found
      },
      { all: texts, base: page.url() },
    )
  } finally {
    await browser.close()
    server.close()
  }
}

const share = (labels: readonly string[], wanted: readonly string[]): number =>
  labels.filter((label, i) => label === wanted[i]).length / labels.length

/** Fine-tunes, exports and compares. @param data folder of the shared data */
export const minilm = async (root: string, data: string, smoke: boolean, say: Say): Promise<void> => {
  const training = join(root, 'sst2.tsv')
  const rows = gunzipSync(readFileSync(join(data, 'sst2', 'train.tsv.gz')))
    .toString()
    .split('\n')
  writeFileSync(training, rows.slice(0, smoke ? 200 : 6000).join('\n'))
  const out = join(root, 'minilm')
  await finetune({
    base: miniLmFolder(),
    task: 'sequence-classification',
    settings: { text: 'sentence', label: 'label' },
    data: training,
    variant: 'full',
    out,
    maxLength: 64,
    batch: { sequences: 32, microTokens: 2048 },
    budget: { steps: smoke ? 2 : 120 },
    learningRate: 5e-5,
  } as never)
  const exported = join(root, 'minilm-out')
  const dev = join(data, 'sst2', 'dev.tsv')
  const { proof } = await exportModel({ model: out, to: ['onnx:q8', 'web:q8'], out: exported, data: dev })
  for (const { target, consumer, check, value, limit } of proof) say({ target, consumer, check, value, limit })
  const sentences = readFileSync(dev, 'utf8')
    .trim()
    .split('\n')
    .slice(1, smoke ? 21 : undefined)
  const texts = sentences.map((line) => line.split('\t')[0])
  const gold = sentences.map((line) => line.split('\t')[1])
  const ours: string[] = []
  const model = await open(out)
  for (const text of texts) ours.push(((await model.classify(text)) as Classified).label)
  const { env, pipeline } = await import('@huggingface/transformers')
  env.allowRemoteModels = false
  env.localModelPath = `${dirname(join(exported, 'onnx'))}/`
  const classify = await pipeline('text-classification', basename(join(exported, 'onnx')), {
    dtype: 'q8',
    device: 'cpu',
  })
  const inNode: string[] = []
  for (const text of texts) inNode.push(((await classify(text)) as unknown as Classified[])[0].label)
  const report = (where: string, labels: readonly string[]) =>
    say({ where, sentences: texts.length, accuracy: share(labels, gold), sameAsOurs: share(labels, ours) })
  report('ours, float32', ours)
  report('transformers.js in Node, q8', inNode)
  report('transformers.js in Chromium, q8', await labelsInChromium(join(exported, 'web'), texts))
}
