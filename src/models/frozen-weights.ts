// Holds the matrices of a model that nobody trains in fewer bits. What is added to it is trained in float32 by the same code.
import { ConfigError } from '../core/index.ts'
import { type Holding, Linear } from '../nn/index.ts'
import { noGrad, scope } from '../tensor/index.ts'
import { expectFinite } from './finite.ts'
import { LanguageHead } from './heads/index.ts'
import type { Model } from './model-with-head.ts'

const linearsOf = ({ body }: Model): [string, Linear][] =>
  [...body.modules('body')].flatMap(([path, module]): [string, Linear][] =>
    module instanceof Linear ? [[path, module]] : [],
  )

/** How the matrices of the body are held, where they are frozen. */
export const frozenIn = (model: Model): Holding | undefined =>
  linearsOf(model).find(([, { held }]) => held !== undefined)?.[1].held

/**
 * The linear layers of the body as `held` says; the token embedding and the matrix that scores the vocabulary in bfloat16, as they
 * stay beside 4-bit layers in QLoRA. All else becomes float32, in which the model computes. Each matrix is freed before the next is
 * read; nothing brings back what is lost. @throws ConfigError for a body that is frozen already
 * @source arXiv:2305.14314
 */
export const freezeWeights = (model: Model, held: Holding): void => {
  const { body, head } = model
  if (frozenIn(model) !== undefined)
    throw new ConfigError(`Expected a model with plain weights to freeze in ${held}, got one in ${frozenIn(model)}.`)
  const vocabulary = new Set([body.embedTokens.weight, ...(head instanceof LanguageHead ? [head.lmHead.weight] : [])])
  const layers = linearsOf(model).filter(([, { weight }]) => !vocabulary.has(weight))
  noGrad(() => {
    for (const [path, layer] of layers)
      scope(() => {
        expectFinite([[`${path}.weight`, layer.weight]], model.definition.type)
        layer.freeze(held)
      })
    const narrow = new Set(held === 'bfloat16' ? layers.map(([, { weight }]) => weight) : [])
    model.replaceParameters((_, parameter) => {
      if (narrow.has(parameter)) return parameter
      return parameter.detach().to(vocabulary.has(parameter) ? 'bfloat16' : 'float32')
    })
  })
  body.embedTokens.give('float32')
}
