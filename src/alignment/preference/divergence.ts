// Rewards under other divergences than the reverse KL divergence: the derivative of the divergence's f at the ratio of probabilities.
// @source arXiv:2309.16240
import type { Tensor } from '../../tensor/index.ts'
import type { Divergence, PairSide } from './objective.ts'

/** Exponents are limited, since the exponential of a log-ratio of a thousand nats is infinite. */
const mostExponent = 80

const exponential = (x: Tensor): Tensor => x.clamp({ max: mostExponent }).exp()

/** Score of a log-ratio, float64 [P], with its gradient. */
export const scoreOf = (
  { ratio }: PairSide,
  { divergence, divergenceAlpha: alpha }: { divergence: Divergence; divergenceAlpha: number },
): Tensor => scores[divergence](ratio, alpha)

const scores: Record<Divergence, (ratio: Tensor, alpha: number) => Tensor> = {
  'reverse-kl': (ratio) => ratio,
  // 1 - 1/u
  'forward-kl': (ratio) => exponential(ratio.neg()).neg().add(1),
  // log(2u / (1 + u))
  'jensen-shannon': (ratio) => ratio.logSigmoid().add(Math.log(2)),
  // (u^(alpha - 1) - 1) / (alpha - 1)
  alpha: (ratio, alpha) =>
    exponential(ratio.mul(alpha - 1))
      .sub(1)
      .div(alpha - 1),
}
