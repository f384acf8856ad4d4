// Experts of a mixture: those that a forward pass chooses, and passes with given ones. Rounding may exchange experts whose
// shares are nearly equal, which changes logits by far more than rounding does; with equal experts they can be compared.
import type { Model } from '../../models/index.ts'
import { SparseMlp, withRouting } from '../../nn/index.ts'
import { Tensor } from '../../tensor/index.ts'

/** The mixtures of experts in a model. */
export const mixturesOf = ({ body }: Model): SparseMlp[] =>
  [...body.modules()].flatMap(([, module]) => (module instanceof SparseMlp ? [module] : []))

/** Experts of each token in each mixture that a forward pass runs, [T,k], by share. */
export const chosenExperts = (forward: () => void, perToken: number): BigInt64Array[] => {
  const found: BigInt64Array[] = []
  withRouting((shares) => {
    const [, chosen] = shares.topk(perToken, -1)
    found.push(BigInt64Array.from(chosen.flatten().toArray() as number[], BigInt))
    return undefined
  }, forward)
  return found
}

/** How far a token's experts are from those with the largest shares: 0 for these themselves. */
const slackOf = (shares: Float32Array, taken: ReadonlySet<number>): number => {
  const least = Math.min(...[...taken].map((expert) => shares[expert]))
  const left = Math.max(...[...shares].filter((_, expert) => !taken.has(expert)))
  return Math.max(0, left - least) / Math.max(...shares)
}

/** Runs a forward pass with given experts, and counts the tokens for which the router would have chosen others. */
export const withExperts = <Result>(
  experts: readonly BigInt64Array[],
  forward: () => Result,
): { result: Result; changed: number; slack: number } => {
  const changed = new Set<number>()
  let [slack, mixture] = [0, 0]
  const result = withRouting((shares) => {
    const [tokens, count] = shares.shape
    const given = experts[mixture++] ?? new BigInt64Array(0)
    const perToken = given.length / tokens
    if (!Number.isInteger(perToken) || perToken < 1) throw new Error('the experts of another text')
    const values = shares.toFloat32Array()
    for (let token = 0; token < tokens; token++) {
      const taken = new Set(Array.from(given.subarray(token * perToken, (token + 1) * perToken), Number))
      const own = slackOf(values.subarray(token * count, (token + 1) * count), taken)
      if (own > 0) changed.add(token)
      slack = Math.max(slack, own)
    }
    return Tensor.from(given, { shape: [tokens, perToken] })
  }, forward)
  return { result, changed: changed.size, slack }
}
