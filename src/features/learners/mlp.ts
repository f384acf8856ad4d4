// A small network with one or more hidden layers, trained with AdamW on shuffled batches. The seed gives its initial weights and order.
import { setImmediate } from 'node:timers/promises'
import { z } from 'zod'
import { CheckpointError, createRandom } from '../../core/index.ts'
import { createOptimizer, type Optimizer } from '../../optim/index.ts'
import { clearGrads, Generator, noGrad, noGradScope, randn, scope, Tensor, zeros } from '../../tensor/index.ts'
import {
  defineLearner,
  expectTensor,
  type FeatureDataset,
  type FitHooks,
  type FittedLearner,
  type LearningProblem,
  rowWeights,
} from '../learner.ts'

const config = z.strictObject({
  hidden: z
    .union([
      z
        .int()
        .positive()
        .transform((size) => [size]),
      z.array(z.int().positive()).min(1),
    ])
    .default([128])
    .describe('width of the hidden layer, or of each hidden layer'),
  epochs: z.int().positive().default(20).describe('training epochs'),
  batch: z.int().positive().default(256).describe('rows per step'),
  learningRate: z.number().positive().default(1e-3).describe('initial learning rate; it decays linearly to zero'),
  weightDecay: z.number().min(0).default(0.01).describe('decoupled weight decay of AdamW'),
})
type Config = z.output<typeof config>

export const mlp = defineLearner<Config, 'mlp'>({
  type: 'mlp',
  source: 'arXiv:1711.05101 (AdamW)',
  summary: 'a small network with hidden layers',
  config,
  kinds: ['class', 'labels', 'number'],
  async fit(dataset, config, hooks) {
    const { features, answers, kind, outputs } = dataset
    const [rows, width] = features.shape
    const generator = new Generator(hooks.seed)
    const sizes = [width, ...config.hidden, outputs]
    const tensors = new Map<string, Tensor>()
    sizes.slice(1).forEach((size, i) => {
      const weight = scope(() => randn([size, sizes[i]], { generator }).mul(Math.sqrt(2 / sizes[i]))).keep()
      tensors.set(`layers.${i}.weight`, weight)
      tensors.set(`layers.${i}.bias`, zeros([size]).keep())
    })
    for (const tensor of tensors.values()) tensor.requiresGrad = true
    // Standardised targets, so that the learning rate fits numbers of any size.
    const { middle, spread } = kind === 'number' ? measure(answers) : { middle: 0, spread: 1 }
    const each = rowWeights(dataset)
    const columns = answers.length / rows
    const targets = (
      kind === 'class'
        ? Tensor.from(Int32Array.from(answers), { dtype: 'int64' })
        : Tensor.from(
            Float32Array.from(answers, (x) => (x - middle) / spread),
            { shape: [rows, columns] },
          )
    ).keep()
    const weights = each && Tensor.from(Float32Array.from(each), { shape: [rows, each.length / rows] }).keep()
    const { weightDecay } = config
    const optimizer = createOptimizer({ type: 'adamw', weightDecay }, tensors)
    try {
      const last = await train(tensors, dataset, { targets, weights, optimizer }, config, hooks)
      for (const tensor of tensors.values()) tensor.requiresGrad = false
      tensors.set('range', Tensor.from(Float32Array.of(middle, spread)).keep())
      return network(tensors, dataset, last * spread ** 2)
    } catch (error) {
      for (const tensor of tensors.values()) tensor.free()
      throw error
    } finally {
      for (const tensor of optimizer.state().tensors.values()) tensor.free()
      targets.free()
      weights?.free()
    }
  },
  restore(tensors, _, problem) {
    const layers = depthOf(tensors)
    if (layers === 0)
      throw new CheckpointError(
        'Expected `layers` of a network in the file of the learner, got none. The file belongs to another learner.',
      )
    for (let i = 0; i < layers; i++) {
      const before = i === 0 ? -1 : tensors.get(`layers.${i - 1}.weight`)!.shape[0]
      const after = i === layers - 1 ? problem.outputs : -1
      const { shape } = expectTensor(tensors, `layers.${i}.weight`, [after, before])
      expectTensor(tensors, `layers.${i}.bias`, [shape[0]])
    }
    expectTensor(tensors, 'range', [2])
    return network(tensors, problem)
  },
})

/** Trains the layers. -> mean loss of the last epoch, of standardised targets */
const train = async (
  tensors: ReadonlyMap<string, Tensor>,
  { features, kind }: FeatureDataset,
  { targets, weights, optimizer }: { targets: Tensor; weights: Tensor | undefined; optimizer: Optimizer },
  { epochs, batch, learningRate }: Config,
  { seed, signal, onProgress }: FitHooks,
): Promise<number> => {
  const [rows] = features.shape
  const random = createRandom(`${seed}/mlp`)
  const order = Int32Array.from({ length: rows }, (_, i) => i)
  const steps = epochs * Math.ceil(rows / batch)
  let step = 0
  let last = 0
  for (let epoch = 0; epoch < epochs; epoch++) {
    random.shuffle(order)
    let sum = 0
    for (let from = 0; from < rows; from += batch) {
      if (step % 16 === 0) {
        await setImmediate()
        signal?.throwIfAborted()
        onProgress?.(step / steps)
      }
      const chosen = order.subarray(from, Math.min(rows, from + batch))
      scope(() => {
        const index = Tensor.from(chosen, { dtype: 'int64' })
        const predicted = forward(
          tensors,
          noGrad(() => features.indexSelect(0, index)),
        )
        const right = targets.indexSelect(0, index)
        const losses = {
          class: () => predicted.crossEntropy(right, { reduction: 'none' }).unsqueeze(1),
          labels: () => predicted.binaryCrossEntropyWithLogits(right, { reduction: 'none' }),
          number: () => predicted.mseLoss(right, { reduction: 'none' }),
        }
        const own = weights?.indexSelect(0, index)
        const lost = own === undefined ? losses[kind]() : losses[kind]().mul(own)
        const loss = lost.sum().div(chosen.length)
        loss.backward()
        sum += loss.item() * chosen.length
        const gradients = new Map(
          [...tensors].flatMap(([path, { grad }]) => (grad === undefined ? [] : [[path, grad]])),
        )
        optimizer.step(gradients, { learningRate: learningRate * (1 - step / steps), maxGradientNorm: 1 })
        clearGrads([...tensors.values()])
      })
      step++
    }
    last = sum / rows
  }
  return last
}

const depthOf = (tensors: ReadonlyMap<string, Tensor>): number => {
  let layers = 0
  while (tensors.has(`layers.${layers}.weight`)) layers++
  return layers
}

const forward = (tensors: ReadonlyMap<string, Tensor>, features: Tensor): Tensor => {
  const layers = depthOf(tensors)
  let x = features
  for (let i = 0; i < layers; i++) {
    x = x.matmul(tensors.get(`layers.${i}.weight`)!.t()).add(tensors.get(`layers.${i}.bias`)!)
    if (i < layers - 1) x = x.relu()
  }
  return x
}

const network = (tensors: ReadonlyMap<string, Tensor>, { kind }: LearningProblem, loss?: number): FittedLearner => {
  const [middle, spread] = tensors.get('range')!.toFloat32Array()
  return {
    tensors,
    parameterCount: [...tensors.values()].reduce((sum, { size }) => sum + size, 0) - 2,
    loss,
    scores: (features) =>
      noGradScope(() => {
        const predicted = forward(tensors, features)
        return kind === 'number' ? predicted.mul(spread).add(middle) : predicted
      }),
  }
}

const measure = (values: Float64Array): { middle: number; spread: number } => {
  const middle = values.reduce((sum, x) => sum + x, 0) / values.length
  const square = values.reduce((sum, x) => sum + (x - middle) ** 2, 0) / values.length
  return { middle, spread: Math.sqrt(square) || 1 }
}
