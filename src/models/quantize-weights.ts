// Quantises the weights of a base model that is not trained, and refuses weights that are NaN or infinite. Adapters and heads stay in float32.
import { CheckpointError, ConfigError } from '../core/index.ts'
import { BlockMatrix, type IntegerFormat, Linear, type Quantization, QuantizedMatrix } from '../nn/index.ts'
import { encodeRows, keep, noGrad, noGradScope, packInt8Rows, scope, type Tensor } from '../tensor/index.ts'
import { LanguageHead } from './heads/index.ts'
import type { Model } from './model-with-head.ts'

const linearsOf = ({ body }: Model): [string, Linear][] =>
  [...body.modules('body')].flatMap(([path, module]): [string, Linear][] =>
    module instanceof Linear ? [[path, module]] : [],
  )

/** Format of the body's matrices, where they are quantised. */
export const quantizationOf = (model: Model): Quantization | IntegerFormat | undefined =>
  linearsOf(model).find(([, { quantization: held }]) => held !== undefined)?.[1].quantization

/** The token embedding and the output layer, which are converted to bfloat16 instead of being quantised. */
const vocabularyOf = ({ body, head }: Model): Set<Tensor> =>
  new Set([body.embedTokens.weight, ...(head instanceof LanguageHead ? [head.lmHead.weight] : [])])

/** The float32 values that a matrix has after it was quantised. */
const quantizedValues = (weight: Tensor, format: Quantization): Tensor => {
  if (format === 'bfloat16') return weight.detach().to('bfloat16').to('float32')
  const matrix = new QuantizedMatrix(weight.detach(), format)
  const values = matrix.dequantize()
  for (const tensor of matrix.tensors) tensor.free()
  return values
}

/**
 * Runs `use` while the matrices have the values that `quantizeWeights` would give them, in float32 and without adapters in
 * between; afterwards they have their own again.
 * @param use gets |Q - W| / |W| of all matrices that are quantised
 * @throws CheckpointError for weights that are not finite
 */
export const withQuantizedValues = async <Result>(
  model: Model,
  format: Quantization,
  use: (error: number) => Promise<Result>,
): Promise<Result> => {
  const { body, head } = model
  const vocabulary = vocabularyOf(model)
  const layers = linearsOf(model).filter(([, { weight }]) => !vocabulary.has(weight))
  const tables = [body.embedTokens, ...(head instanceof LanguageHead ? [head.lmHead] : [])]
  const places = [...layers.map(([, layer]) => layer), ...tables]
  const own = places.map(({ weight }) => weight)
  let [error, size] = [0, 0]
  const replaced = new Map<Tensor, Tensor>()
  noGrad(() => {
    for (const [path, { weight }] of layers) {
      expectFinite([[`${path}.weight`, weight]], model.definition.type)
      const values = keep(scope(() => keep(quantizedValues(weight, format))))
      replaced.set(weight, values)
      scope(() => {
        error += values.sub(weight).square().sum().item() as number
        size += weight.square().sum().item() as number
      })
    }
    for (const weight of vocabulary) replaced.set(weight, keep(quantizedValues(weight, 'bfloat16')))
  })
  try {
    for (const [i, place] of places.entries()) place.weight = replaced.get(own[i]) ?? own[i]
    return await use(Math.sqrt(error / Math.max(size, Number.MIN_VALUE)))
  } finally {
    for (const [i, place] of places.entries()) place.weight = own[i]
    for (const values of replaced.values()) values.free()
  }
}

/**
 * Quantises the linear layers of the body, and converts the token embedding and the output layer to bfloat16, as in QLoRA, and
 * all else to float32, the dtype of computation. Each matrix is freed before the next is read. It cannot be undone.
 * @throws ConfigError for a body that is quantised already, CheckpointError for weights that are not finite
 * @source arXiv:2305.14314
 */
export const quantizeWeights = (model: Model, format: Quantization): void => {
  const { body } = model
  if (quantizationOf(model) !== undefined)
    throw new ConfigError(
      `Expected an unquantised model to quantise to ${format}, got one in ${quantizationOf(model)}.`,
    )
  const vocabulary = vocabularyOf(model)
  const layers = linearsOf(model).filter(([, { weight }]) => !vocabulary.has(weight))
  noGrad(() => {
    for (const [path, layer] of layers)
      scope(() => {
        expectFinite([[`${path}.weight`, layer.weight]], model.definition.type)
        layer.quantize(format)
      })
    const narrow = new Set(format === 'bfloat16' ? layers.map(([, { weight }]) => weight) : [])
    for (const parameter of model.parameters().values())
      if (!narrow.has(parameter))
        parameter.become(scope(() => parameter.detach().to(vocabulary.has(parameter) ? 'bfloat16' : 'float32')))
  })
  body.embedTokens.setOutputDtype('float32')
}

/** Inputs of a layer that share a scale in the formats whose blocks are smallest. */
const blockWidth = 32

/** The formats of `quantizeToBlocks`, and what encodes float32 [outputs, inputs] to uint8 [outputs, bytes of a row]. */
const integerFormats = {
  Q8_0: (weight: Tensor) => encodeRows(weight, 'Q8_0'),
  int8: packInt8Rows,
} satisfies Partial<Record<IntegerFormat, (weight: Tensor) => Tensor>>

/**
 * Quantises the linear layers of the body to blocks of a GGUF file, with the bytes that ggml writes, or to int8 with a scale for each
 * row, and converts all else to float32. Layers whose inputs are no whole blocks, the token embedding and the head stay as they are. It cannot be undone.
 * @throws ConfigError for a body that is quantised already, CheckpointError for weights that are not finite
 */
export const quantizeToBlocks = (model: Model, format: keyof typeof integerFormats): void => {
  if (quantizationOf(model) !== undefined)
    throw new ConfigError(
      `Expected an unquantised model to quantise to ${format}, got one in ${quantizationOf(model)}.`,
    )
  const vocabulary = vocabularyOf(model)
  noGrad(() => {
    for (const [path, layer] of linearsOf(model)) {
      const { weight, shape } = layer
      if (vocabulary.has(weight) || shape[1] % blockWidth !== 0) continue
      expectFinite([[`${path}.weight`, weight]], model.definition.type)
      const blocks = scope(() => keep(integerFormats[format](weight.detach().to('float32').contiguous())))
      layer.useBlocks(new BlockMatrix({ format, shape, blocks }))
      weight.free()
    }
    for (const parameter of model.parameters().values()) parameter.become(scope(() => parameter.detach().to('float32')))
  })
  model.body.embedTokens.setOutputDtype('float32')
}

const allFinite = (tensor: Tensor): boolean =>
  noGradScope(() => {
    const values = tensor.detach()
    // A sum reads the values once and copies nothing; if it overflows, each value is checked. float16 would often overflow.
    const sum = values.dtype === 'float16' ? values.sum(undefined, { dtype: 'float32' }) : values.sum()
    if (Number.isFinite(sum.item())) return true
    return Boolean(values.isfinite().all().item())
  })

const listed = (names: readonly string[]): string =>
  names.length > 5 ? `${names.slice(0, 5).join(', ')} and ${names.length - 5} more` : names.join(', ')

/**
 * Checks the floating point tensors of a model or an adapter.
 * @param where file or folder of the tensors, for the error
 * @throws CheckpointError that names the tensors with NaN or infinity
 */
export const expectFinite = (tensors: Iterable<readonly [string, Tensor]>, where: string): void => {
  const faulty: string[] = []
  for (const [path, tensor] of tensors) if (/float/.test(tensor.dtype) && !allFinite(tensor)) faulty.push(path)
  refuse(faulty, where)
}

/** As `expectFinite`, for matrices of blocks. @throws CheckpointError that names those with NaN or infinity */
export const expectFiniteBlocks = (matrices: Iterable<readonly [string, BlockMatrix]>, where: string): void =>
  refuse(
    [...matrices].flatMap(([path, matrix]) => (matrix.isFinite ? [] : [path])),
    where,
  )

const refuse = (faulty: readonly string[], where: string): void => {
  if (faulty.length > 0)
    throw new CheckpointError(
      `${where}: Expected finite weights, got NaN or infinity in ${listed(faulty)}. The training diverged or the file is damaged: use an earlier checkpoint, or download the files again.`,
    )
}
