// The benchmarks that come with Tunesmith, each a task file.
import { arcChallenge } from './arc-challenge.ts'
import { arcEasy } from './arc-easy.ts'
import { boolq } from './boolq.ts'
import { gsm8k } from './gsm8k.ts'
import { hellaswag } from './hellaswag.ts'
import { ifeval } from './ifeval.ts'
import { lambada } from './lambada.ts'
import { mmlu } from './mmlu.ts'
import { openbookqa } from './openbookqa.ts'
import { piqa } from './piqa.ts'
import { winogrande } from './winogrande.ts'

export const benchmarks = [
  arcEasy,
  arcChallenge,
  hellaswag,
  piqa,
  winogrande,
  boolq,
  openbookqa,
  mmlu,
  gsm8k,
  ifeval,
  lambada,
] as const
