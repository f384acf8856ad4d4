// How well a vocabulary fits text: tokens per word, bytes per token, unknown tokens. It knows no trainer.

/** Measures on held-out text. */
export interface TokenizerReport {
  documents: number
  bytes: number
  /** Words between white space. */
  words: number
  tokens: number
  /** Tokens per word. */
  fertility: number
  bytesPerToken: number
  /** Share of tokens that are the unknown token. */
  unknownRate: number
  /** Share of the vocabulary that occurs at all. */
  usedVocabulary: number
}

export interface ReportEncoder {
  /** Ids without the special tokens that a template adds. */
  encode(text: string): ArrayLike<number>
  vocabSize: number
  unknownId?: number
}

/** Encodes the documents and measures the result. */
export const reportOn = (documents: Iterable<string>, encoder: ReportEncoder): TokenizerReport => {
  const used = new Set<number>()
  let count = 0
  let bytes = 0
  let words = 0
  let tokens = 0
  let unknown = 0
  for (const text of documents) {
    const ids = encoder.encode(text)
    count++
    bytes += Buffer.byteLength(text)
    words += text.match(/\S+/g)?.length ?? 0
    tokens += ids.length
    for (let i = 0; i < ids.length; i++) {
      used.add(ids[i])
      if (ids[i] === encoder.unknownId) unknown++
    }
  }
  const share = (part: number, whole: number) => (whole === 0 ? 0 : part / whole)
  return {
    documents: count,
    bytes,
    words,
    tokens,
    fertility: share(tokens, words),
    bytesPerToken: share(bytes, tokens),
    unknownRate: share(unknown, tokens),
    usedVocabulary: share(used.size, encoder.vocabSize),
  }
}
