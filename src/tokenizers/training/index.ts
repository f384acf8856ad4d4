// What the rest of tokenizers, and through it every other folder, may use of training.

export { type TokenizerFiles, writeTokenizerFolder } from './tokenizer-files.ts'
export { type ReportEncoder, reportOn, type TokenizerReport } from './tokenizer-report.ts'
export { type TokenizerTrainInput, type TokenizerTrainOptions, tokenizerTrainSchema } from './train-options.ts'
export { type TrainedTokenizer, type TrainTokenizerSettings, trainTokenizer } from './train-tokenizer.ts'
