// Evaluation of a language model on preferences: which of two answers it gained for, or how it tells good answers from bad ones. The scores
// are those at the end of a run of `align`.
import { z } from 'zod'
import { resolveData, resolveModel } from '../../checkpoint/index.ts'
import {
  ConfigError,
  formatCount,
  formatDuration,
  jsonLines,
  openObject,
  withoutUndefined,
  writeFileAtomic,
} from '../../core/index.ts'
import {
  alignSchema,
  evaluatePreferences,
  type PreferenceKind,
  type PreferenceReport,
  preferenceColumnFields,
  preferenceRunOf,
} from '../../runs/index.ts'
import { loadLanguageModel } from '../load.ts'
import { defineEvaluation, type EvaluationEntry, renderMetrics, renderSkipped } from './evaluation.ts'
import { recordOptions } from './task-evaluations.ts'

const { template, system, tooLong, maxLength, maxPromptLength } = alignSchema.shape
const { predictions } = recordOptions.shape

const options = z.strictObject({
  reference: z
    .string()
    .optional()
    .describe('preferences, ratings: MODEL that answers are compared with (default: the base of the run, else none)'),
  columns: openObject(preferenceColumnFields)
    .prefault({})
    .describe('preferences, ratings: columns, form and file format of the data (default: those of the run)'),
  template: template.describe(
    "preferences, ratings: chat template, as in `align` (default: the run's, else the model's)",
  ),
  system: system.describe(
    'preferences, ratings: system prompt of conversations without one (default: that of the run)',
  ),
  maxPromptLength: maxPromptLength.describe(
    'preferences, ratings: maximum tokens of a prompt (default: half of maxLength)',
  ),
  tooLong: tooLong
    .unwrap()
    .optional()
    .describe(
      'preferences, ratings: what happens to longer ones, as in `align` (default: as in the run, else truncate)',
    ),
  maxLength: maxLength.describe(
    'preferences, ratings: maximum tokens of a prompt with its answer (default: as in the run, else model limit, at most 1024)',
  ),
  predictions,
})

const preferenceEvaluation = (type: string, kind: PreferenceKind): EvaluationEntry =>
  defineEvaluation({
    type,
    measures: async (model) => (await preferenceRunOf(model))?.kind === kind,
    options,
    async run(
      { data, recorded: _, ...choice },
      { predictions: file, reference: named, columns, ...encoding },
      { onProgress, signal, group, ...hooks },
    ): Promise<Omit<PreferenceReport, 'predictions'>> {
      if (data.length !== 1) throw new ConfigError(`Expected one file or folder for \`data\`, got ${data.length}.`)
      const found = await preferenceRunOf(choice.model)
      const run = found?.kind === kind ? found : undefined
      const reference = named ?? run?.base
      // A wrong name is an error before the answers are scored.
      if (reference !== undefined) await resolveModel(reference, { onProgress: hooks.onDownload })
      const { model, tokenizer } = await loadLanguageModel(choice, hooks)
      const { predictions: lines, ...report } = await evaluatePreferences(
        {
          ...run?.encoding,
          ...withoutUndefined(encoding),
          columns: { ...run?.encoding.columns, ...columns },
          kind,
          path: await resolveData(data[0]),
          model,
          tokenizer,
          ...(reference !== undefined && {
            reference: () => loadLanguageModel({ model: reference, device: choice.device }, hooks),
          }),
        },
        {
          ...hooks,
          ...(signal && { signal }),
          group,
          onProgress: ({ answers: done, of }) => onProgress?.({ label: 'Scoring answers', unit: 'answers', done, of }),
        },
      )
      if (file !== undefined && group?.first !== false) await writeFileAtomic(file, jsonLines(lines))
      return report
    },
    render: ({ records, skipped, metrics, seconds }: Omit<PreferenceReport, 'predictions'>) =>
      [
        ...renderMetrics(metrics),
        `${formatCount(records)} records in ${formatDuration(seconds * 1000)}`,
        ...renderSkipped(skipped),
      ].join('\n'),
  })

/** Pairs of a better and a worse answer. */
export const preferences = preferenceEvaluation('preferences', 'pairs')
/** Answers that are good or bad. */
export const ratings = preferenceEvaluation('ratings', 'ratings')
