// The registry of kinds of runs: `run.json` says which it is.
import { ConfigError } from '../core/index.ts'
import type { RunKind } from './engine/run-kind.ts'
import { finetuneKind } from './finetune/build.ts'
import { pretrainKind } from './pretrain/build.ts'

const kinds = { pretrain: pretrainKind, finetune: finetuneKind } as const

/** The kind that a recipe names; recipes that name none are of the first kind there was. */
export const kindOf = (command: unknown = 'pretrain'): RunKind => {
  if (typeof command === 'string' && Object.hasOwn(kinds, command))
    return kinds[command as keyof typeof kinds] as unknown as RunKind
  throw new ConfigError(`Expected ${Object.keys(kinds).join(' or ')} for \`command\`, got ${JSON.stringify(command)}.`)
}
