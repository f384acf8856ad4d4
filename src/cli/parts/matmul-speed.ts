// Measures how fast this machine multiplies matrices of a model's sizes: an upper bound for the speed of a training step.
import { inferenceMode, scope, zeros } from '../../tensor/index.ts'

export interface Product {
  /** Rows: tokens per micro-batch. */
  tokens: number
  width: number
  dtype: 'float32' | 'bfloat16' | 'float16'
  device: string
}

/** FLOP/s of the fastest of the products [tokens, width] x [width, 4 width] that fit into `budgetMs`; at least two are timed. */
export const matmulSpeed = ({ tokens, width, dtype, device }: Product, budgetMs = 300): number =>
  inferenceMode(() =>
    scope(() => {
      // Enough work for an exact time, little enough to end soon.
      const rows = Math.max(16, Math.min(tokens, Math.ceil(2e9 / (8 * width * width))))
      const left = zeros([rows, width], { dtype, device })
      const right = zeros([width, 4 * width], { dtype, device })
      const flops = 2 * rows * width * 4 * width
      const started = performance.now()
      let fastest = Number.POSITIVE_INFINITY
      for (let count = 0; count < 2 || performance.now() - started < budgetMs; count++) {
        const from = performance.now()
        // Reading one value waits for an asynchronous device.
        scope(() => left.matmul(right).select(0, 0).select(0, 0).item())
        fastest = Math.min(fastest, performance.now() - from)
      }
      return (flops / fastest) * 1000
    }),
  )
