// Tokenizer training.

export { type TokenizerFiles, writeTokenizerFolder } from './tokenizer-files.ts'
export { measureTokenizer, type ReportEncoder, type TokenizerReport } from './tokenizer-report.ts'
export { type TokenizerTrainInput, type TokenizerTrainOptions, tokenizerTrainSchema } from './train-options.ts'
export { type TrainedTokenizer, type TrainTokenizerSettings, trainTokenizer } from './train-tokenizer.ts'
