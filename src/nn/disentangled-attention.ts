// Attention whose scores also come from the distance of tokens: by the content of the query, and by that of the key.
// @source arXiv:2006.03654 (DeBERTa), arXiv:2111.09543 (shared projections)
import type { Tensor } from '../tensor/index.ts'
import { Attention, type AttentionContext } from './attention.ts'
import { Dropout, withSharedRows } from './dropout.ts'
import { Linear } from './linear.ts'

/** Shape of the layer. */
export interface DisentangledAttentionOptions {
  hidden: number
  heads: number
  /** Dropout of attention weights. */
  dropout: number
  /** Dropout of the embeddings of distances. */
  positionDropout: number
  /** Scores of the query's content and the distance. */
  contentToPosition: boolean
  /** Scores of the distance and the key's content. */
  positionToContent: boolean
  /** Distances are projected by the matrices of queries and keys, not by their own. */
  sharesProjections: boolean
}

/** Multi-head attention with disentangled scores of content and distance. Its parameters are not set until `initialize` or `loadState`, see `Module`. */
export class DisentangledAttention extends Attention {
  posKeyProj?: Linear
  posQueryProj?: Linear
  dropout: Dropout
  /** Scores of the query's content and the distance. */
  readonly contentToPosition: boolean
  /** Scores of the distance and the key's content. */
  readonly positionToContent: boolean

  constructor(options: DisentangledAttentionOptions) {
    const { hidden, heads, contentToPosition, positionToContent, sharesProjections } = options
    const terms = 1 + Number(contentToPosition) + Number(positionToContent)
    super({ hidden, heads, dropout: options.dropout, scale: ((hidden / heads) * terms) ** -0.5 })
    if (!sharesProjections && contentToPosition) this.posKeyProj = new Linear(hidden, hidden)
    if (!sharesProjections && positionToContent) this.posQueryProj = new Linear(hidden, hidden)
    this.dropout = new Dropout(options.positionDropout)
    this.contentToPosition = contentToPosition
    this.positionToContent = positionToContent
  }

  /** Scores of content and distance, [B,H,T,S]. */
  protected override biasOf(query: Tensor, key: Tensor, context: AttentionContext): Tensor | undefined {
    const { distances } = context
    if (distances === undefined) return undefined
    const { heads, headDim, scale } = this.settings
    // All examples share the table. Adapters of a projection may have dropout too.
    const embeddings = withSharedRows(() => this.dropout.forward(distances.embeddings))
    // [P,C] -> [H,D,P]
    const project = (layer: Linear) =>
      withSharedRows(() => layer.forward(embeddings))
        .view([-1, heads, headDim])
        .permute([1, 2, 0])
    const scoresOf = (content: Tensor, layer: Linear, index: Tensor): Tensor => {
      const all = content.transpose(1, 2).matmul(project(layer)) // [B,T,H,D] -> [B,H,T,P]
      return all.gather(3, index.expand([all.shape[0], heads, ...index.shape]))
    }
    const { index } = distances
    const parts: Tensor[] = []
    if (this.contentToPosition) parts.push(scoresOf(query, this.posKeyProj ?? this.kProj, index))
    if (this.positionToContent)
      parts.push(scoresOf(key, this.posQueryProj ?? this.qProj, index.transpose(0, 1)).transpose(2, 3))
    return parts.length === 0 ? undefined : parts.reduce((sum, part) => sum.add(part)).mul(scale)
  }
}
