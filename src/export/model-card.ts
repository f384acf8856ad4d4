// Model cards of exports: what is known of the model, the comparisons of the proof, and how the files are used.
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { HeadType } from '../models/index.ts'
import { type CardFacts, readCardFacts } from '../runs/index.ts'
import { type ModelCardInput, modelFiles, renderModelCard } from '../tracking/index.ts'
import type { ExportSource, ProofRow } from './export-target.ts'
import type { ChosenTarget } from './targets.ts'

/** The Hub's names of what heads do. */
const pipelines: Partial<Record<HeadType, string>> = {
  'causal-lm': 'text-generation',
  'masked-lm': 'fill-mask',
  'seq2seq-lm': 'text2text-generation',
  'sequence-classification': 'text-classification',
  'token-classification': 'token-classification',
  'question-answering': 'question-answering',
  'multiple-choice': 'multiple-choice',
  embedding: 'sentence-similarity',
  reward: 'text-classification',
}

const proofRow = ({ target, consumer, check, value, limit }: ProofRow): string[] => [
  target,
  check,
  String(value),
  limit === undefined ? '' : String(limit),
  consumer,
]

/** What the caller knows of an export. */
interface CardContext {
  chosen: readonly ChosenTarget[]
  proof: readonly ProofRow[]
  notes: readonly string[]
  /** Licence that the caller gave. */
  license?: string
}

const relationOf = ({ base }: CardFacts, chosen: readonly ChosenTarget[]): ModelCardInput['relation'] => {
  if (base !== undefined) return 'finetune'
  return chosen.some(({ target, variant }) => target.quantises?.(variant)) ? 'quantized' : undefined
}

/** The card of some targets of an export. */
const cardOf = (source: ExportSource, facts: CardFacts, context: CardContext): ModelCardInput => {
  const { chosen, proof, notes, license } = context
  const names = chosen.map(({ name }) => name)
  const relation = relationOf(facts, chosen)
  const base = facts.base ?? source.hubId
  const rows = proof.filter(({ target }) => names.includes(target)).map(proofRow)
  const found = license ?? facts.license
  const { pipelineLibrary = 'transformers' } = chosen[0].target
  return {
    ...facts,
    ...(base === undefined ? {} : { base }),
    ...(relation === undefined ? {} : { relation }),
    ...(found === undefined ? {} : { license: found }),
    name: source.name,
    summary: `${source.name} as ${names.join(', ')}${facts.task === undefined ? '' : `, fine-tuned for ${facts.task}`}.`,
    library: pipelineLibrary,
    pipeline: pipelines[source.model.headType],
    tables: [
      ...(facts.tables ?? []),
      ...(rows.length === 0
        ? []
        : [
            {
              title: 'Proof',
              text: 'The files were opened and compared with the model that they come from before they were published.',
              header: ['format', 'check', 'value', 'limit', 'program'],
              rows,
            },
          ]),
    ],
    limitations: [
      ...(facts.limitations ?? []),
      ...notes,
      ...(rows.length === 0 ? ['These files were not compared with the model.'] : []),
    ],
  }
}

const writeCard = (folder: string, card: ModelCardInput): Promise<void> =>
  writeFile(join(folder, modelFiles.card), renderModelCard(card))

/** Writes README.md beside all files, and in the folder of each target. */
export const writeModelCards = async (source: ExportSource, folder: string, context: CardContext): Promise<void> => {
  const facts: CardFacts = source.folder === undefined ? {} : await readCardFacts(source.folder)
  await writeCard(folder, cardOf(source, facts, context))
  for (const own of new Set(context.chosen.map(({ target }) => target.folder)))
    await writeCard(
      join(folder, own),
      cardOf(source, facts, { ...context, chosen: context.chosen.filter(({ target }) => target.folder === own) }),
    )
}
