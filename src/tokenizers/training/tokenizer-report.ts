// Measures how well a vocabulary fits text: tokens per word, bytes per token, share of unknown tokens.

/** Measurements of a tokenizer on validation text. */
export interface TokenizerReport {
  documents: number
  /** UTF-8 bytes. */
  bytes: number
  /** Words separated by white space. */
  words: number
  tokens: number
  /** Tokens per word. */
  fertility: number
  bytesPerToken: number
  /** Share of unknown tokens, 0 to 1. */
  unknownRate: number
  /** Share of the vocabulary that occurs in the text, 0 to 1. */
  usedVocabulary: number
}

/** The part of a tokenizer that `measureTokenizer` needs. */
export interface ReportEncoder {
  /** Encodes text to ids without special tokens. */
  encode(text: string): ArrayLike<number>
  vocabSize: number
  unknownId?: number
}

/** Encodes documents and measures the result. */
export const measureTokenizer = (documents: Iterable<string>, encoder: ReportEncoder): TokenizerReport => {
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
