// The auxiliary loss of mixtures of experts as a further term of any loss of a language model: it is collected from the forward
// passes of the criterion, which does not know it. Evaluations leave it out, so that perplexities can be compared.
import { LanguageHead, type Model, RouterBalance, withRouterBalance } from '../models/index.ts'
import type { Criterion } from '../objectives/index.ts'

const term = 'router-balance'

const factorOf = ({ head, facts }: Model): number | undefined =>
  head instanceof LanguageHead ? facts.routerLossFactor : undefined

/** The weight of the term by name: the tokens of all examples; nothing for a model without it. */
export const routerWeights = <Example>(
  model: Model,
  objective: Pick<Criterion<Example>, 'tokens'>,
  examples: readonly Example[],
): Record<string, number> =>
  factorOf(model) === undefined ? {} : { [term]: examples.reduce((sum, example) => sum + objective.tokens(example), 0) }

/** The loss of a criterion in training, with that term where the model has it. */
export const trainingLoss =
  <Example>(model: Model, objective: Pick<Criterion<Example>, 'loss'>): Criterion<Example>['loss'] =>
  (given, batch, how) => {
    const scale = factorOf(model)
    if (scale === undefined) return objective.loss(given, batch, how)
    const balance = new RouterBalance()
    const result = withRouterBalance(balance, () => objective.loss(given, batch, how))
    const { sum, tokens: weight } = balance
    return sum === undefined ? result : { ...result, terms: [...result.terms, { name: term, sum, weight, scale }] }
  }
