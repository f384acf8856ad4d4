// `tunesmith predict`: what a model predicts for texts, by its head. The work is `predict` of src/inference.
import { z } from 'zod'
import { ConfigError } from '../../core/index.ts'
import { shareItems } from '../../distributed/index.ts'
import { loadForInference, predictions, predictWith, renderPrediction } from '../../inference/index.ts'
import { headTypes } from '../../models/index.ts'
import { defineCommand } from '../command.ts'
import { withFields } from '../flags.ts'
import { textField, textsField } from '../parts/fields.ts'
import { loadHooks, modelFields, taskField } from '../parts/model-flags.ts'
import { expectSameModel, readSharedTexts } from '../parts/read-texts.ts'
import { ownOptions, sharedShape } from '../parts/recipe-choices.ts'

const shape = sharedShape(Object.values(predictions))

export const predict = defineCommand({
  name: 'predict',
  summary: 'Predict with a model: masked words, classes, numbers, entities or answers',
  example: 'tunesmith predict --model runs/bert --text "The ship sailed across the [MASK]."',
  processes: 'divided',
  choices: () => [
    {
      choice: 'head',
      part: '',
      schemas: Object.fromEntries(Object.entries(predictions).map(([head, { options }]) => [head, options])),
    },
  ],
  options: withFields(
    z.strictObject({
      ...modelFields,
      task: taskField,
      head: z.enum(headTypes).optional().describe("head to predict with (default: the one in the model's files)"),
      text: textsField('text to predict for; the question of a question answering model').meta({ commas: false }),
      input: textField(
        'file of texts: .txt with one per line, or .jsonl, .json, .csv, .tsv or .parquet with a column of texts; - reads lines from standard input',
      ),
      textColumn: z.string().default('text').describe('column with the text, in files with columns'),
    }),
    shape,
  ),
  async run(options, _args, context) {
    const { use: _, head, text, input, textColumn, model, task, revision, device, weights, ...rest } = options
    const texts = input === undefined ? text : [...text, ...(await readSharedTexts(input, textColumn, context))]
    if (texts.length === 0) throw new ConfigError('`predict` needs texts: set `--text` or `--input`.')
    const loaded = await loadForInference({ model, task, revision, device, weights }, { head, ...loadHooks(context) })
    await expectSameModel(context, loaded.folder)
    const { headType } = loaded.model
    const own = ownOptions(rest, predictions[headType], shape, `a model with the head ${headType}`)
    const progress = context.progress({
      label: 'Predicting',
      unit: 'texts',
      total: texts.length,
      enabled: texts.length > 1,
    })
    try {
      const { group, signal } = context
      const onProgress = (done: { texts: number }) =>
        progress.update(Math.min(texts.length, done.texts * (group?.size ?? 1)))
      const results = await shareItems(group, texts, (share) => predictWith(loaded, share, own, { signal, onProgress }))
      return { model, head: headType, predictions: results }
    } finally {
      progress.stop()
    }
  },
  render: ({ head, predictions: results }) => results.map((result) => renderPrediction(head, result)).join('\n'),
})
