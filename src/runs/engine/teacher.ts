// The teacher of a run: a model whose predictions the student learns beside the targets of the data. Independent of kinds of runs.
import { isDeepStrictEqual } from 'node:util'
import { z } from 'zod'
import { loadAdapter } from '../../adapters/index.ts'
import { describeModelLoad, loadModelWithReport, loadTokenizer } from '../../checkpoint/index.ts'
import { ConfigError, formatCount } from '../../core/index.ts'
import { isFeatureModel } from '../../features/index.ts'
import { type Model, quantizeWeights } from '../../models/index.ts'
import { type Quantization, quantizations } from '../../nn/index.ts'
import { divergenceNames, type Teacher } from '../../objectives/index.ts'
import { noteTensors } from '../../tensor/index.ts'
import type { Tokenizer } from '../../tokenizers/index.ts'
import { hashesOf } from '../examples/run-data.ts'
import { placeModel } from './adapted-base.ts'
import { type BaseFiles, findBase } from './base-files.ts'
import { absoluteModel } from './base-settings.ts'
import type { CommonRecipe } from './run-kind.ts'

export const distillationSchema = z.strictObject({
  teacher: z.string().optional().describe('model to learn from (default: none)'),
  weight: z.number().gt(0).max(1).optional().describe('its share of the loss (default: 0.5)'),
  temperature: z.number().positive().optional().describe('divisor of all logits (default: 2)'),
  divergence: z.enum(divergenceNames).optional().describe('measure (default: forward-kl)'),
  precision: z
    .enum(['float32', ...quantizations])
    .optional()
    .describe("its precision (default: the run's)"),
})

type Distillation = z.output<typeof distillationSchema>

/** @throws ConfigError for settings of a teacher that there is none of */
export const settleTeacher = async (distillation: Distillation): Promise<Distillation> => {
  const { teacher, ...others } = distillation
  const [given] = Object.entries(others).flatMap(([name, value]) => (value === undefined ? [] : [name]))
  if (teacher === undefined && given !== undefined)
    throw new ConfigError(
      `\`distillation.${given}\` has no effect without a teacher: set \`distillation.teacher\` to a model, or remove it.`,
    )
  return { ...distillation, teacher: await absoluteModel(teacher) }
}

export interface StudentFacts {
  model: Model
  tokenizer: Tokenizer
  /** Most tokens of an example. */
  maxLength: number
}

export interface OpenedTeacher {
  teacher: Teacher
  notes: string[]
  /** SHA-256 of its files, by path. */
  hashes: { [file: string]: string }
}

/** @throws ConfigError where an id of the student's texts is another token of the teacher */
const expectSameTokens = async (choice: string, { tokenizer: folder }: BaseFiles, own: Tokenizer): Promise<void> => {
  const theirs = await loadTokenizer(folder)
  for (let id = 0; id <= own.maxId; id++) {
    const [text, other] = [own.idToToken(id), theirs.idToToken(id)]
    if (text !== undefined && text !== other)
      throw new ConfigError(
        `Expected a teacher with the vocabulary of the student for \`distillation.teacher\`, got ${choice}, where token ${id} is ${other === undefined ? 'missing' : JSON.stringify(other)} and not ${JSON.stringify(text)}. Choose a teacher and a base with the same tokenizer.`,
      )
  }
}

/** @throws ConfigError for a teacher that predicts something else than the student, or cannot read its texts */
const expectFit = (choice: string, theirs: Model, { model: own, maxLength }: StudentFacts): void => {
  const fail = (expected: string, got: string, advice: string): never => {
    throw new ConfigError(
      `Expected a teacher ${expected} for \`distillation.teacher\`, got ${choice} ${got}. ${advice}`,
    )
  }
  if (theirs.headType !== own.headType)
    fail(`with the head ${own.headType}`, `with ${theirs.headType}`, 'Choose one that was trained for the same task.')
  const [wanted, got] = [own.headOptions, theirs.headOptions]
  if (wanted.problemType !== got.problemType)
    fail(`that predicts ${wanted.problemType}`, `that predicts ${got.problemType}`, 'Choose another teacher.')
  // A number has no name that would tell it from another.
  if (wanted.labels.length > 1 && !isDeepStrictEqual(wanted.labels, got.labels))
    fail(
      `with the labels ${wanted.labels.join(', ')}, in this order,`,
      `with ${got.labels.join(', ')}`,
      'Set `settings.labels` to the labels of the teacher, and `settings.labelMap` where the data has other names.',
    )
  const virtual = [...theirs.body.modules()].reduce((sum, [, module]) => sum + module.prependedPositions, 0)
  const positions = (theirs.facts.maxPositions ?? Number.POSITIVE_INFINITY) - virtual
  if (maxLength > positions)
    fail(`with ${maxLength} positions`, `with ${positions}`, `Set \`maxLength\` to ${positions} or less.`)
  if (theirs.facts.decoderStartTokenId !== own.facts.decoderStartTokenId)
    fail(
      `whose decoder starts with the token ${own.facts.decoderStartTokenId}`,
      `with ${theirs.facts.decoderStartTokenId}`,
      'Choose a teacher of the same family.',
    )
}

/** The model of a teacher with the head that it was trained with. */
const loadTeacher = async (
  choice: string,
  { base, start }: BaseFiles,
  { headType: head }: Model,
  quantization: Exclude<Quantization, 'bfloat16'> | undefined,
): Promise<{ model: Model; notes: string[] }> => {
  const { model, report } = await loadModelWithReport(base, {
    // An adapter brings the head that was trained with it.
    ...(start === undefined ? { head } : {}),
    // Quantised straight from the values of the files.
    ...(quantization === undefined ? { dtype: 'float32' } : {}),
    mapEachTensor: true,
    device: 'cpu',
  })
  if (start === undefined && report.newHead.length > 0)
    throw new ConfigError(
      `Expected a teacher with weights of the head ${head} for \`distillation.teacher\`, got ${choice} without: it would be new and predict at random. Fine-tune it on this task first.`,
    )
  if (quantization !== undefined) quantizeWeights(model, quantization)
  const taught = start === undefined ? model : (await loadAdapter(start, { base: model })).model
  return { model: taught, notes: describeModelLoad(report) }
}

/**
 * Opens the teacher of a recipe, if it has one.
 * @throws ConfigError for a teacher of another vocabulary, task or with other labels; CheckpointError for files that cannot be loaded
 */
export const openTeacher = async (
  recipe: Pick<CommonRecipe, 'precision' | 'device'> & { distillation: Distillation },
  student: StudentFacts,
): Promise<OpenedTeacher | undefined> => {
  const { teacher: choice, weight = 0.5, temperature, divergence, precision } = recipe.distillation
  if (choice === undefined) return undefined
  const [fixed] = Object.entries({ temperature, divergence }).flatMap(([name, value]) =>
    value === undefined ? [] : [name],
  )
  if (student.model.headOptions.problemType === 'regression' && fixed !== undefined)
    throw new ConfigError(
      `\`distillation.${fixed}\` has no effect on a task with numbers, whose squared difference from those of the teacher is learned. Remove it.`,
    )
  const files = await findBase(choice)
  if (await isFeatureModel(files.base))
    throw new ConfigError(
      `Expected a teacher with a head for \`distillation.teacher\`, got ${choice}, whose learner was fitted on features. Choose one that was fine-tuned by another variant.`,
    )
  await expectSameTokens(choice, files, student.tokenizer)
  const isFloat = precision === undefined || precision === 'float32' || precision === 'bfloat16'
  const { model, notes } = await loadTeacher(choice, files, student.model, isFloat ? undefined : precision)
  expectFit(choice, model, student)
  placeModel(model, { device: recipe.device, precision: isFloat ? (precision ?? recipe.precision) : recipe.precision })
  model.requireGrad(false).eval()
  noteTensors('teacher', model.parameters().values())
  return {
    teacher: { model, weight, temperature: temperature ?? 2, divergence: divergence ?? 'forward-kl' },
    notes: [
      ...notes.map((line) => `Teacher: ${line}`),
      `Learns from the teacher ${choice}, which has ${formatCount(model.parameterCount)} parameters.`,
    ],
    hashes: await hashesOf([], files.base, { start: files.start }),
  }
}
