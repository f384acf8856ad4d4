// OFT: orthogonal blocks turn the input of a layer, which keeps the angles between its weights. @source arXiv:2306.07280,
// arXiv:2506.19847 (turning the input, and the Cayley-Neumann series)
import { z } from 'zod'
import { CheckpointError, type Named, show } from '../../core/index.ts'
import { einsum, eye, Tensor, zeros } from '../../tensor/index.ts'
import { adapterFields, defineAdapter } from '../adapter.ts'
import { numberField } from '../peft/format.ts'
import { targetsField } from '../targets.ts'
import { attachMatrices, type MatrixMethod, modulesOf } from './layer.ts'
import { matrixFiles } from './peft-files.ts'

const schema = z.strictObject({
  targets: targetsField,
  blockSize: z
    .int()
    .min(2)
    .max(4096)
    .default(32)
    .describe('size of the orthogonal blocks; where it does not divide the width, the nearest divisor is taken'),
  blockShare: z.boolean().default(false).describe('one block for the whole width instead of one for each part of it'),
  terms: z
    .int()
    .min(2)
    .max(20)
    .default(5)
    .describe('terms of the Cayley-Neumann series, which approximates the orthogonal block; more are more exact'),
  ...adapterFields,
})
type OftConfig = z.output<Named<'oft', typeof schema>>

/** The nearest divisor of a width. @source peft/tuners/oft/layer.py, adjust_oft_parameters */
const divisorNear = (width: number, size: number): number => {
  if (size >= width) return width
  let [higher, lower] = [size, size]
  while (higher <= width && width % higher !== 0) higher++
  while (lower > 1 && width % lower !== 0) lower--
  return size - lower <= higher - size ? lower : higher
}

/** Places of the elements above the diagonal of a matrix [size,size], flattened. */
const aboveDiagonal = (size: number): Int32Array =>
  Int32Array.from(
    Array.from({ length: size }, (_, row) =>
      Array.from({ length: size - row - 1 }, (_, i) => row * size + row + 1 + i),
    ).flat(),
  )

/** Skew-symmetric blocks [N,B,B] of the elements above their diagonals [N,B(B-1)/2]. */
const skewSymmetric = (elements: Tensor, size: number): Tensor => {
  const { dtype, device } = elements
  const places = Tensor.from(aboveDiagonal(size), { dtype: 'int64', device }).expand(elements.shape)
  const upper = zeros([elements.shape[0], size * size], { dtype, device }).scatter(1, places, elements)
  const blocks = upper.view([-1, size, size])
  return blocks.sub(blocks.transpose(1, 2))
}

/** Nearly orthogonal blocks: I + 2Q + 2Q² + … + Qⁿ, as PEFT sums them. */
const cayley = (elements: Tensor, size: number, terms: number): Tensor => {
  const skew = skewSymmetric(elements, size)
  let sum = eye(size, size, { dtype: elements.dtype, device: elements.device }).add(skew.mul(2))
  if (terms === 2) return sum
  let power = skew.matmul(skew)
  sum = sum.add(power.mul(2))
  for (let i = 3; i < terms - 1; i++) {
    power = power.matmul(skew)
    sum = sum.add(power.mul(2))
  }
  return sum.add(power.matmul(skew))
}

const methodOf = ({ blockSize, blockShare, terms }: OftConfig): MatrixMethod => ({
  shapes: (_, inputs) => {
    const size = divisorNear(inputs, blockSize)
    return { blocks: [blockShare ? 1 : inputs / size, (size * (size - 1)) / 2] }
  },
  initialize({ blocks }) {
    blocks.zero_()
  },
  change: (_, inputs) => {
    const size = divisorNear(inputs, blockSize)
    const count = inputs / size
    return {
      turn: ({ blocks }, input) => {
        const parts = input.reshape([...input.shape.slice(0, -1), count, size])
        const turned = cayley(blocks, size, terms).expand([count, size, size]).to(input.dtype)
        return einsum('...rk,rkc->...rc', [parts, turned]).reshape(input.shape)
      },
    }
  },
})

export const oft = defineAdapter({
  type: 'oft',
  source: 'arXiv:2306.07280',
  config: schema,
  learningRate: 1e-3,
  plan: (model, config, { generator }) => attachMatrices(modulesOf(model, config.targets), methodOf(config), generator),
  peft: matrixFiles<OftConfig>({
    type: 'OFT',
    suffixes: { blocks: '.oft_R.weight' },
    fields: [
      'r',
      'oft_block_size',
      'block_share',
      'use_cayley_neumann',
      'num_cayley_neumann_terms',
      'bias',
      'module_dropout',
      'eps',
    ],
    hasLayout: true,
    write: ({ blockSize, blockShare, terms }) => ({
      r: 0,
      oft_block_size: blockSize,
      block_share: blockShare,
      use_cayley_neumann: true,
      num_cayley_neumann_terms: terms,
      bias: 'none',
      coft: false,
      module_dropout: 0,
    }),
    read: (file, targets) => {
      const { use_cayley_neumann: series, r, bias } = file.fields
      if (series === false || (r ?? 0) !== 0 || (bias ?? 'none') !== 'none')
        throw new CheckpointError(
          `${file.path}: Expected blocks of one size with the Cayley-Neumann series and without biases, got use_cayley_neumann = ${show(series)}, r = ${show(r)}, bias = ${show(bias)}. Merge the adapter into its base with PEFT.`,
        )
      return {
        type: 'oft',
        targets,
        blockSize: numberField(file, 'oft_block_size', 32),
        blockShare: file.fields.block_share === true,
        terms: numberField(file, 'num_cayley_neumann_terms', 5),
      }
    },
    method: methodOf,
  }),
})
