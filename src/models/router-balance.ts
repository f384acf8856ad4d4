// The auxiliary loss that balances the experts of a mixture: E · Σ f P, where f is the number of choices of an expert per token and
// P its mean probability. It is taken over each text, and texts count by their tokens: so it is a sum with a weight that does not
// depend on what else is in the batch. For a batch of one text it is the loss of transformers. @source arXiv:2101.03961, eq. 4-6
import { Ambient } from '../nn/index.ts'
import { arange, noGradScope, type Tensor, upload, zeros } from '../tensor/index.ts'
import type { BodyInputs } from './model.ts'

/** The auxiliary loss of forward passes: `sum / tokens` is its mean. */
export class RouterBalance {
  readonly #sums: Tensor[] = []
  #tokens = 0

  /** Summed over the tokens, float32 scalar with a gradient; undefined without a mixture. */
  get sum(): Tensor | undefined {
    return this.#sums.length === 0 ? undefined : this.#sums.reduce((sum, one) => sum.add(one))
  }

  /** Tokens without padding. */
  get tokens(): number {
    return this.#tokens
  }

  /** Adds a forward pass. @param logits of the experts, [N,E] for each layer with a mixture */
  add(logits: readonly Tensor[], perToken: number, inputs: BodyInputs): void {
    if (logits.length === 0) return
    const { sum, tokens } = balanceOf(logits, perToken, inputs)
    this.#sums.push(sum)
    this.#tokens += tokens
  }
}

const current = new Ambient<RouterBalance | undefined>(undefined)

/** Runs `body` and adds the auxiliary loss of its forward passes to `balance`, or leaves it out without one. */
export const withRouterBalance = <Result>(balance: RouterBalance | undefined, body: () => Result): Result =>
  current.during(balance, body)

/** The loss that forward passes are to be added to, if there is one. */
export const currentRouterBalance = (): RouterBalance | undefined => current.value

/** The number of the text of each token, int64 [N], and the number of texts. */
const textsOf = ({ inputIds, starts }: BodyInputs): [texts: Tensor, count: number] => {
  const [rows, length] = inputIds.shape
  if (starts === undefined)
    return [arange(rows, { dtype: 'int64', device: inputIds.device }).repeatInterleave(length, 0), rows]
  const count = starts.shape[0] - 1
  const edges = starts.to('int64')
  const lengths = edges.narrow(0, 1, count).sub(edges.narrow(0, 0, count))
  return [upload(arange(count, { dtype: 'int64' }).repeatInterleave(lengths, 0), inputIds.device), count]
}

const balanceOf = (
  logits: readonly Tensor[],
  perToken: number,
  inputs: BodyInputs,
): { sum: Tensor; tokens: number } => {
  const experts = logits[0].shape[1]
  const probabilities = logits.map((one) => one.to('float32').softmax(-1))
  const { shares, tokens } = noGradScope(() => {
    const [texts, count] = textsOf(inputs)
    const present = inputs.attentionMask?.ne(0).flatten().to('float32')
    const counted = (x: Tensor) => (present === undefined ? x : x.mul(present.unsqueeze(1)))
    const { device } = logits[0]
    const none = () => zeros([count, experts], { device })
    let chosen = none()
    for (const one of probabilities) {
      const [, indices] = one.topk(perToken, -1)
      const marks = zeros(one.shape, { device }).scatter(1, indices, 1)
      chosen = chosen.add(none().indexAdd(0, texts, counted(marks)))
    }
    const ones = counted(zeros([texts.shape[0], 1], { device }).add(1))
    const lengths = zeros([count, 1], { device }).indexAdd(0, texts, ones)
    // A text without tokens has no choices either.
    const factor = experts / (logits.length * logits.length)
    const each = chosen.div(lengths.clamp({ min: 1 })).mul(factor)
    return { shares: counted(each.indexSelect(0, texts)), tokens: lengths.sum() }
  })
  const sum = probabilities.map((one) => one.mul(shares).sum()).reduce((total, one) => total.add(one))
  return { sum, tokens: tokens.item() as number }
}
