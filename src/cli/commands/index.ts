// The registry of commands: one line each, loaded when asked for.
import type { CommandRegistry } from '../program.ts'

export const commands: CommandRegistry = {
  align: async () => (await import('./align.ts')).align,
  chat: async () => (await import('./chat.ts')).chat,
  compare: async () => (await import('./compare.ts')).compare,
  completion: async () => (await import('./completion.ts')).completion,
  'corpus build': async () => (await import('./corpus-build.ts')).corpusBuild,
  'corpus inspect': async () => (await import('./corpus-inspect.ts')).corpusInspect,
  'corpus worker': async () => (await import('./corpus-worker.ts')).corpusWorker,
  doctor: async () => (await import('./doctor.ts')).doctor,
  embed: async () => (await import('./embed.ts')).embed,
  evaluate: async () => (await import('./evaluate.ts')).evaluate,
  finetune: async () => (await import('./finetune.ts')).finetune,
  generate: async () => (await import('./generate.ts')).generate,
  predict: async () => (await import('./predict.ts')).predict,
  pretrain: async () => (await import('./pretrain.ts')).pretrain,
  quickstart: async () => (await import('./quickstart.ts')).quickstart,
  resume: async () => (await import('./resume.ts')).resume,
  runs: async () => (await import('./runs.ts')).runs,
  score: async () => (await import('./score.ts')).score,
  setup: async () => (await import('./setup.ts')).setup,
  specialists: async () => (await import('./specialists.ts')).specialists,
  sweep: async () => (await import('./sweep.ts')).sweep,
  'tokenizer encode': async () => (await import('./tokenizer-encode.ts')).tokenizerEncode,
  'tokenizer train': async () => (await import('./tokenizer-train.ts')).tokenizerTrain,
  'verify-resume': async () => (await import('./verify-resume.ts')).verifyResume,
}
