// Our side of the loading benchmark, a process of its own: opens a checkpoint and gives first logits, and prints one JSON line.
// Arguments: folder, threads.
import { loadModel } from '../../src/checkpoint/index.ts'
import { inferenceMode, setThreads, tensor } from '../../src/tensor/index.ts'

const [folder, threads] = process.argv.slice(2)
setThreads(Number(threads))
const start = performance.now()
const model = await loadModel(folder)
const loadMs = performance.now() - start
const logits = inferenceMode(() =>
  model.forward({ inputIds: tensor([[11, 22, 33, 44, 55, 66, 77, 88]], { dtype: 'int64' }) }).logits.toFloat32Array(),
)
const firstLogitsMs = performance.now() - start
console.log(
  JSON.stringify({
    loadMs,
    firstLogitsMs,
    sample: [...logits.subarray(0, 4)],
    peakMb: process.resourceUsage().maxRSS / 1024,
  }),
)
