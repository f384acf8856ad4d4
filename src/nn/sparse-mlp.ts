// A sparse mixture of experts: a router chooses some gated feed-forward blocks for each token. Tokens are gathered by expert, each
// expert computes its own as contiguous rows, and each token gets the weighted sum of its experts' outputs.
import { arange, cat, gradEnabled, isPlanning, linear, noGrad, scope, type Tensor } from '../tensor/index.ts'
import { Ambient } from './ambient.ts'
import { withTokenPlaces } from './dropout.ts'
import type { ActivationName } from './mlp.ts'
import { GatedMlp, Mlp } from './mlp.ts'
import { type Initialization, Module } from './module.ts'
import { parameter } from './parameter.ts'

/** Shape and behaviour of a mixture of experts. */
export interface SparseMlpOptions {
  hidden: number
  /** Width of each expert. */
  intermediate: number
  activation: ActivationName
  experts: number
  /** Experts per token. */
  perToken: number
  /** Divide the weights of a token's experts by their sum. */
  normalize: boolean
}

/** Logits of the experts. It is no `Linear`: it is not quantised, and adapters of linear layers do not change it. */
export class Router extends Module {
  /** [experts, hidden] */
  weight: Tensor

  constructor(hidden: number, experts: number) {
    super()
    this.weight = parameter([experts, hidden])
  }

  /** [N,C] -> [N,experts] */
  forward(input: Tensor): Tensor {
    return linear(input, this.weight, null)
  }

  protected override reset({ std, generator }: Initialization): void {
    this.weight.normal_(0, std, { generator })
  }
}

const sink = new Ambient<Tensor[] | undefined>(undefined)

/**
 * Runs `body` and adds the router logits of the mixtures in it to `logits`, [N,experts] each, with their gradient. Without it
 * they are not kept.
 */
export const withRouterLogits = <Result>(logits: Tensor[] | undefined, body: () => Result): Result =>
  sink.during(logits, body)

/** Reads the shares of a mixture's experts, [N,experts], and may choose the experts of each token, int64 [N,k]. */
export type Routing = (shares: Tensor) => Tensor | undefined

const routing = new Ambient<Routing | undefined>(undefined)

/**
 * Runs `body`, asking `route` for the experts in each of its mixtures in turn; those with the largest shares where it gives
 * none. Experts that were given have their shares as weights, too.
 */
export const withRouting = <Result>(route: Routing, body: () => Result): Result => routing.during(route, body)

/**
 * A mixture of experts in place of a feed-forward block. Its parameters are not set until `initialize` or `loadState`, see `Module`.
 * @source arXiv:1701.06538, arXiv:2401.04088
 */
export class SparseMlp extends Mlp {
  router: Router
  experts: GatedMlp[]
  readonly activation: ActivationName
  /** Experts per token. */
  readonly perToken: number
  /** Whether the weights of a token's experts are divided by their sum. */
  readonly normalizes: boolean

  constructor({ hidden, intermediate, activation, experts, perToken, normalize }: SparseMlpOptions) {
    super()
    this.router = new Router(hidden, experts)
    this.experts = Array.from({ length: experts }, () => new GatedMlp({ hidden, intermediate, activation }))
    this.activation = activation
    this.perToken = perToken
    this.normalizes = normalize
  }

  /** [...,C] -> [...,C] */
  forward(input: Tensor): Tensor {
    const rows = input.reshape([-1, input.shape.at(-1) ?? 0])
    const logits = this.router.forward(rows)
    sink.value?.push(logits)
    return scope(() => this.#mix(rows, logits)).view(input.shape)
  }

  #mix(rows: Tensor, logits: Tensor): Tensor {
    const tokens = rows.shape[0]
    const shares = logits.to('float32').softmax(-1)
    const given = routing.value?.(shares)
    const [best, chosen] = given === undefined ? shares.topk(this.perToken, -1) : [shares.gather(-1, given), given]
    const weights = this.normalizes ? best.div(best.sum(-1, { keepdim: true })) : best
    const { places, slots, counts } = noGrad(() => this.#group(chosen))
    const parts = rows.indexSelect(0, places).split(counts, 0)
    const grouped = this.#products(parts, places, tokens, counts)
    // [N*k,C] -> k of [N,C], each token's experts in the order of their weights
    const byToken = grouped.indexSelect(0, slots).view([tokens, this.perToken, -1])
    // One addition after the other, so that the bits of a token do not depend on the batch.
    return byToken
      .mul(weights.to(rows.dtype).unsqueeze(-1))
      .unbind(1)
      .reduce((sum, part) => sum.add(part))
  }

  /** The experts' outputs, expert after expert. */
  #products(parts: readonly Tensor[], places: Tensor, tokens: number, counts: readonly number[]): Tensor {
    // In training every expert takes part, also with no token: optimizers and processes expect a gradient of each parameter.
    const all = this.training || gradEnabled()
    const outputs: Tensor[] = []
    let at = 0
    for (const [i, part] of parts.entries()) {
      if (counts[i] === 0 && !all) continue
      const own = places.narrow(0, at, counts[i])
      outputs.push(withTokenPlaces(own, tokens, () => this.experts[i].forward(part)))
      at += counts[i]
    }
    return outputs.length === 0 ? parts[0] : cat(outputs, 0)
  }

  /**
   * Groups the choices [N,k] by expert.
   * @returns `places`: the token of each row of the groups, int64 [N*k]; `slots`: the row of each choice, int64 [N*k]; `counts`:
   * rows of each expert
   */
  #group(chosen: Tensor): { places: Tensor; slots: Tensor; counts: number[] } {
    const experts = this.experts.length
    const choices = chosen.size
    // Logits have no values in a plan, where every expert gets as many tokens as the others.
    const expert = isPlanning() ? arange(choices, { dtype: 'int64' }).remainder(experts) : chosen.flatten()
    const [, order] = expert.sort(0, { stable: true })
    return {
      places: order.div(this.perToken, { roundingMode: 'floor' }),
      slots: order.argsort(),
      counts: Array.from(expert.bincount({ minlength: experts }).toArray() as number[], Number),
    }
  }
}
