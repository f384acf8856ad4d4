// The teacher of a run that distils from its own answers: the whole loss, and the reference that divergences are measured from.
import { alarmSchema, modelReference, type Reference, type ResolvedRollout } from '../../../alignment/index.ts'
import { ConfigError, withoutUndefined } from '../../../core/index.ts'
import { distillationSchema, type OpenedTeacher, openTeacher, type StudentFacts } from '../../engine/teacher.ts'
import type { AlignRecipe } from '../recipe.ts'

const { temperature, divergence } = distillationSchema.shape

/** The setting `distillation` of a recipe. The teacher is the whole loss, so that it has no weight. */
export const answerDistillationSchema = distillationSchema.omit({ weight: true }).extend({
  temperature: temperature.describe("divisor of all logits (default: sampling's)"),
  divergence: divergence.describe('measure (default: reverse-kl)'),
})

/** A teacher of answers. */
export interface AnswerTeacher extends OpenedTeacher {
  /** Its log-probabilities of the answers; undefined where none are measured. */
  reference: Reference | undefined
}

const alarmDefaults = alarmSchema.parse({})

/** @throws ConfigError for settings that would have no effect with the objective, or without which it cannot learn */
export const checkAnswerTeacher = (
  { objective, distillation, reference, rollout, rewards, judge, alarms }: AlignRecipe,
  learnsFromTeacher: boolean,
): void => {
  const fail = (message: string): never => {
    throw new ConfigError(message)
  }
  const [given] = Object.entries(distillation).flatMap(([name, value]) => (value === undefined ? [] : [name]))
  if (!learnsFromTeacher) {
    if (given !== undefined)
      fail(
        `Expected no \`distillation.${given}\` with the objective ${objective}, which learns from no teacher. Remove it, or choose gkd.`,
      )
    return
  }
  if (distillation.teacher === undefined)
    fail(
      `The objective ${objective} needs a teacher: set \`distillation.teacher\` to a model with the same vocabulary.`,
    )
  if (reference.precision !== undefined)
    fail(
      `Expected no \`reference.precision\` with the objective ${objective}, whose reference is the teacher. Set \`distillation.precision\` instead.`,
    )
  if (rollout.rounds !== undefined && rollout.rounds > 1)
    fail(
      `Expected 1 for \`rollout.rounds\` with the objective ${objective}, which learns from every answer whatever its reward, got ${rollout.rounds}. Remove it.`,
    )
  if (!rollout.measureKl && rewards.length === 0 && judge === undefined)
    fail(
      `Expected \`rollout.measureKl\`, \`rewards\` or a \`judge\` with the objective ${objective}: without any of them, nothing tells a good checkpoint from a bad one.`,
    )
  if (alarms.kl !== alarmDefaults.kl)
    fail(
      `Expected no \`alarms.kl\` with the objective ${objective}, whose student begins far from the teacher and comes closer. Remove it.`,
    )
}

/**
 * Opens the teacher of a recipe. Unless the recipe says otherwise, the loss is the divergence that evaluations estimate: that of the student
 * from the teacher, at the temperature of sampling.
 * @throws ConfigError for a teacher of another vocabulary or head; CheckpointError for files that cannot be loaded
 */
export const openAnswerTeacher = async (
  recipe: AlignRecipe,
  { temperature, measureKl }: ResolvedRollout,
  student: StudentFacts,
): Promise<AnswerTeacher | undefined> => {
  const opened = await openTeacher(
    {
      ...recipe,
      distillation: { temperature, divergence: 'reverse-kl', ...withoutUndefined(recipe.distillation), weight: 1 },
    },
    student,
  )
  if (opened === undefined) return undefined
  const reference = { ...modelReference(opened.teacher.model), summary: 'the teacher' }
  return { ...opened, reference: measureKl ? reference : undefined }
}
