// Quantises the weights of a base model that is not trained. Adapters and heads stay in float32.
import { ConfigError } from '../core/index.ts'
import { type BlockFormat, Linear, type Quantization } from '../nn/index.ts'
import { noGrad, scope } from '../tensor/index.ts'
import { expectFinite } from './expect-finite.ts'
import { LanguageHead } from './heads/index.ts'
import type { Model } from './model-with-head.ts'

const linearsOf = ({ body }: Model): [string, Linear][] =>
  [...body.modules('body')].flatMap(([path, module]): [string, Linear][] =>
    module instanceof Linear ? [[path, module]] : [],
  )

/** Format of the body's matrices, where they are quantised. */
export const quantizationOf = (model: Model): Quantization | BlockFormat | undefined =>
  linearsOf(model).find(([, { quantization: held }]) => held !== undefined)?.[1].quantization

/**
 * Quantises the linear layers of the body, and converts the token embedding and the output layer to bfloat16, as in QLoRA, and
 * all else to float32, the dtype of computation. Each matrix is freed before the next is read. It cannot be undone.
 * @throws ConfigError for a body that is quantised already, CheckpointError for weights that are not finite
 * @source arXiv:2305.14314
 */
export const quantizeWeights = (model: Model, format: Quantization): void => {
  const { body, head } = model
  if (quantizationOf(model) !== undefined)
    throw new ConfigError(
      `Expected an unquantised model to quantise to ${format}, got one in ${quantizationOf(model)}.`,
    )
  const vocabulary = new Set([body.embedTokens.weight, ...(head instanceof LanguageHead ? [head.lmHead.weight] : [])])
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
