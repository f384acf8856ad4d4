// A transformer of two small blocks in plain operators, with its training step: the load of the engine's own tests.
import {
  cat,
  clearGrads,
  dropout,
  Generator,
  gradNorm,
  noGrad,
  randint,
  randn,
  Tensor,
} from '../../src/tensor/index.ts'

export interface SmallTransformer {
  parameters: Tensor[]
  /** One step of gradient descent on random ids; the loss. Everything it makes belongs to the caller's scope, if there is one. */
  step(): number
}

const [batch, length, heads, layers] = [4, 24, 4, 2]

export const createSmallTransformer = (seed: number, width = 64, vocabulary = 128): SmallTransformer => {
  const generator = new Generator(seed)
  const parameters: Tensor[] = []
  const parameter = (...shape: number[]) => {
    const made = randn(shape, { generator }).mul_(0.05)
    made.keep().requiresGrad = true
    parameters.push(made)
    return made
  }
  const embedding = parameter(vocabulary, width)
  const positions = parameter(length, width)
  const blocks = Array.from({ length: layers }, () => ({
    norm: parameter(width),
    qkv: parameter(width, 3 * width),
    output: parameter(width, width),
    mlpNorm: parameter(width),
    up: parameter(width, 4 * width),
    down: parameter(4 * width, width),
  }))
  const causal = Tensor.from(Array.from({ length }, (_, i) => Array.from({ length }, (_, j) => j > i))).keep()

  const forward = (ids: Tensor): Tensor => {
    let x = embedding.index([ids]).add(positions) // [B,T,C]
    for (const block of blocks) {
      const packed = x.layerNorm([width], { weight: block.norm.add(1) }).matmul(block.qkv)
      const [q, k, v] = packed
        .reshape([batch, length, 3, heads, width / heads])
        .permute([2, 0, 3, 1, 4])
        .unbind(0)
      const scores = q
        .matmul(k.transpose(-1, -2))
        .div(Math.sqrt(width / heads))
        .maskedFill(causal, -1e9)
      const mixed = dropout(scores.softmax(-1), 0.1, { generator }).matmul(v) // [B,H,T,D]
      x = x.add(mixed.transpose(1, 2).reshape([batch, length, width]).matmul(block.output))
      const hidden = x
        .layerNorm([width], { weight: block.mlpNorm.add(1) })
        .matmul(block.up)
        .gelu()
      x = x.add(dropout(hidden.matmul(block.down), 0.1, { generator }))
    }
    return x.matmul(embedding.t()) // [B,T,V]
  }

  const step = () => {
    const ids = randint(0, vocabulary, [batch, length], { generator, dtype: 'int64' })
    // The next id is known: it is this one plus one, so there is something to learn.
    const labels = ids.add(1).remainder(vocabulary)
    const loss = forward(ids)
      .reshape([batch * length, vocabulary])
      .crossEntropy(labels.flatten())
    loss.backward()
    noGrad(() => {
      const gradients = parameters.map((one) => one.grad as Tensor)
      const scale = Math.min(1, 1 / gradNorm(gradients).item())
      for (const [i, one] of parameters.entries()) one.add_(gradients[i], { alpha: -0.5 * scale })
    })
    clearGrads(parameters)
    return loss.item()
  }
  return { parameters, step }
}

/** All parameters as one vector. */
export const flatParameters = ({ parameters }: SmallTransformer): Float32Array =>
  cat(parameters.map((one) => one.detach().flatten())).toFloat32Array()
