// A criterion whose model computes without dropout in training, so that it can be compared with a reference, and with itself before a step.
import type { Criterion } from '../../objectives/index.ts'

/** The criterion with the model in evaluation mode during its loss. Gradients are computed all the same. */
export const withoutDropout = <Example>(criterion: Criterion<Example>): Criterion<Example> => {
  const { carried } = criterion
  return {
    unpadded: criterion.unpadded,
    tokens: (example) => criterion.tokens(example),
    weights: (example) => criterion.weights(example),
    ...(criterion.trainedTokens === undefined
      ? {}
      : { trainedTokens: (example) => criterion.trainedTokens?.(example) ?? 0 }),
    collate: (examples, how) => criterion.collate(examples, how),
    ...(criterion.prepare === undefined
      ? {}
      : {
          async prepare(examples, context) {
            // Whether prompts are shared depends on it too.
            if (context.model.training) context.model.eval()
            return (await criterion.prepare?.(examples, context)) ?? examples
          },
        }),
    get preparesWithModel() {
      return criterion.preparesWithModel
    },
    ...(carried === undefined ? {} : { carried }),
    loss(model, batch, how) {
      // Backward may recompute layers, so that the mode is not set back after the forward pass.
      if (model.training) model.eval()
      return criterion.loss(model, batch, how)
    },
    describe: (example, decode) => criterion.describe(example, decode),
    ...(criterion.show === undefined ? {} : { show: (example) => criterion.show?.(example) ?? [] }),
  }
}
