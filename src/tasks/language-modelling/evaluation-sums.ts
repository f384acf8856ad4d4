// Running sums of an evaluation: a few numbers for each piece and document, whatever their length.

/** With fewer documents than this, the bootstrap resamples blocks. */
const fewDocuments = 30

export interface SummedUnits {
  unit: 'document' | 'block'
  nats: number[]
  labels: number[]
  correct: number[]
  bytes: number[]
}

export class EvaluationSums {
  tokens = 0
  bytes = 0
  readonly #documentBytes: number[] = []
  readonly #documentLabels: number[] = []
  readonly #pieces = { document: [] as number[], nats: [] as number[], labels: [] as number[], correct: [] as number[] }

  addDocument(tokens: number, bytes: number): void {
    this.tokens += tokens
    this.bytes += bytes
    this.#documentBytes.push(bytes)
    this.#documentLabels.push(0)
  }

  /** @param document index in the order of `addDocument` */
  addPiece(document: number, nats: number, labels: number, correct: number): void {
    this.#documentLabels[document] += labels
    this.#pieces.document.push(document)
    this.#pieces.nats.push(nats)
    this.#pieces.labels.push(labels)
    this.#pieces.correct.push(correct)
  }

  /** Scales the documents' bytes to a known total. */
  scaleBytes(total: number): void {
    const factor = total / this.bytes
    for (let i = 0; i < this.#documentBytes.length; i++) this.#documentBytes[i] *= factor
    this.bytes = total
  }

  facts(): { tokens: number; documents: number; bytes: number } {
    return { tokens: this.tokens, documents: this.#documentBytes.length, bytes: this.bytes }
  }

  /** Independent units for the bootstrap: documents, or blocks with their share of the document's bytes. */
  units(): SummedUnits {
    const { document, nats, labels, correct } = this.#pieces
    const bytesOf = (piece: number) =>
      (this.#documentBytes[document[piece]] * labels[piece]) / this.#documentLabels[document[piece]]
    if (this.#documentBytes.length < fewDocuments)
      return { unit: 'block', nats, labels, correct, bytes: document.map((_, piece) => bytesOf(piece)) }
    const zeros = () => new Array<number>(this.#documentBytes.length).fill(0)
    const sums = { nats: zeros(), labels: zeros(), correct: zeros() }
    document.forEach((owner, piece) => {
      sums.nats[owner] += nats[piece]
      sums.labels[owner] += labels[piece]
      sums.correct[owner] += correct[piece]
    })
    return { unit: 'document', ...sums, bytes: [...this.#documentBytes] }
  }
}
