// Pooling: one vector per row of a batch, padded or packed.
import { arange, cat, type Tensor, upload } from '../../tensor/index.ts'
import type { BodyInputs } from '../model.ts'

/** Kind of pooling. */
export type Pooling = 'first' | 'last' | 'mean'

type Rows = Pick<BodyInputs, 'attentionMask' | 'starts'>

/** Rows [documents,C]. @param places on the CPU */
const at = (hidden: Tensor, places: Tensor) => hidden.indexSelect(0, upload(places, hidden.device))

const packed: Record<Pooling, (hidden: Tensor, starts: Tensor) => Tensor> = {
  first: (hidden, starts) => at(hidden, starts.narrow(0, 0, starts.shape[0] - 1)),
  last: (hidden, starts) => at(hidden, starts.narrow(0, 1, starts.shape[0] - 1).sub(1)),
  mean: (hidden, starts) => {
    const edges = starts.toArray() as (number | bigint)[]
    const rows = edges.slice(1).map((end, i) => hidden.narrow(0, Number(edges[i]), Number(end) - Number(edges[i])))
    return cat(
      rows.map((row) => row.mean(0, { keepdim: true })),
      0,
    )
  },
}

const padded: Record<Pooling, (hidden: Tensor, mask: Tensor | undefined) => Tensor> = {
  first: (hidden) => hidden.select(1, 0),
  // The rightmost token that is not padding, with padding on either side.
  last: (hidden, mask) => {
    const [batch, length, width] = hidden.shape
    if (mask === undefined) return hidden.select(1, length - 1)
    const places = arange(length, { device: hidden.device }).mul(mask.ne(0).to('int64')).argmax(1) // [B]
    return hidden.gather(1, places.view([batch, 1, 1]).expand([batch, 1, width])).squeeze(1)
  },
  mean: (hidden, mask) => {
    if (mask === undefined) return hidden.mean(1)
    const seen = mask.ne(0).to(hidden.dtype).unsqueeze(2) // [B,T,1]
    return hidden
      .mul(seen)
      .sum(1)
      .div(seen.sum(1).clamp({ min: 1 }))
  },
}

/** Pools [B,T,C] -> [B,C]; or packed [1,N,C] -> [documents,C]. */
export const poolRows = (hidden: Tensor, { attentionMask, starts }: Rows, how: Pooling): Tensor =>
  starts === undefined ? padded[how](hidden, attentionMask) : packed[how](hidden.squeeze(0), starts.to('int64'))
