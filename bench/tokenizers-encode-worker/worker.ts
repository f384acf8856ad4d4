// The worker of bench/tokenizers-encode.ts: encodes documents into one array and says how many ids there were.
import { parentPort, workerData } from 'node:worker_threads'
import { Tokenizer } from '../../src/tokenizers/index.ts'

const tokenizer = new Tokenizer(JSON.parse((workerData as { json: string }).json))
const buffer = new Uint32Array(1 << 20)

parentPort!.on('message', (texts: readonly string[]) => {
  let tokens = 0
  for (const text of texts) tokens += tokenizer.encodeInto(text, buffer, 0)
  parentPort!.postMessage(tokens)
})
