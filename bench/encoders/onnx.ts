// onnxruntime's side of bench/encoders.ts: the same texts by the same tokenizer, sorted by length, in padded batches.
//   onnx.ts FILE.onnx TEXTS.json OUT COUNT THREADS BATCH TOKENIZER
import * as ort from 'onnxruntime-node'
import { loadTokenizer } from '../../src/checkpoint/index.ts'
import { measureEncoder } from './measure.ts'

const [path, file, out, count, threads, batch, folder] = process.argv.slice(2)
const tokenizer = await loadTokenizer(folder)
const session = await ort.InferenceSession.create(path, {
  intraOpNumThreads: Number(threads),
  interOpNumThreads: 1,
  graphOptimizationLevel: 'all',
})

/** The mean of the last hidden states of each text, scaled to length one. */
const embed = async (some: readonly string[]): Promise<Float32Array[]> => {
  const ids = some.map((text) => tokenizer.encode(text).ids)
  const order = Array.from(ids.keys()).sort((a, b) => ids[a].length - ids[b].length)
  const vectors: Float32Array[] = []
  for (let from = 0; from < order.length; from += Number(batch)) {
    const rows = order.slice(from, from + Number(batch))
    const width = ids[rows[rows.length - 1]].length
    const [inputs, mask] = [new BigInt64Array(rows.length * width), new BigInt64Array(rows.length * width)]
    for (const [i, row] of rows.entries())
      for (const [k, id] of ids[row].entries()) {
        inputs[i * width + k] = BigInt(id)
        mask[i * width + k] = 1n
      }
    const tensor = (values: BigInt64Array) => new ort.Tensor('int64', values, [rows.length, width])
    const feeds: Record<string, ort.Tensor> = { input_ids: tensor(inputs), attention_mask: tensor(mask) }
    if (session.inputNames.includes('token_type_ids'))
      feeds.token_type_ids = tensor(new BigInt64Array(rows.length * width))
    const { sentence_embedding: found } = await session.run(feeds)
    const [, size] = found.dims
    for (const [i, row] of rows.entries()) vectors[row] = (found.data as Float32Array).slice(i * size, (i + 1) * size)
  }
  return vectors
}

await measureEncoder({ file, out, count: Number(count) }, embed)
