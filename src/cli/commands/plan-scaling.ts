// `tunesmith plan scaling`: the loss of a planned pretraining run, by a grid of small ones. The work is `planScaling` of src/runs.
import { z } from 'zod'
import { formatCount } from '../../core/index.ts'
import { type Bounded, planScaling, pretrainSchema, type ScalingResult } from '../../runs/index.ts'
import { defineCommand } from '../command.ts'
import { recipeChoices } from '../parts/recipe-choices.ts'
import { displayRun } from '../parts/run-display.ts'
import { renderTable } from '../parts/table.ts'

const positive = z.number().positive()

const shown = ({ value, low, high }: Bounded, text: (value: number) => string): string =>
  `${text(value)} (${text(low)} to ${text(high)})`
const loss = (value: number): string => value.toFixed(3)

const renderScaling = ({ runs, reason, gridFlops, gridShare, target, fit, notes, out }: ScalingResult): string => {
  const rows = runs.map(({ name, size, tokens, loss: measured, fitted, excluded }) => [
    name,
    size === undefined ? '' : formatCount(size),
    formatCount(tokens),
    measured === undefined ? '' : loss(measured),
    fitted === undefined ? (excluded ?? '') : loss(fitted),
  ])
  const lines = [
    renderTable(['run', 'size', 'tokens', 'loss', 'by the law'], rows),
    `${runs.length} runs of ${gridFlops.toExponential(2)} FLOPs together, ${Number((100 * gridShare).toPrecision(2))} % of the planned run`,
  ]
  if (fit === undefined) {
    const left = runs.filter(({ status }) => status === 'waiting' || status === 'interrupted').length
    lines.push(
      reason === 'interrupted' ? `Stopped with ${left} runs left. Run the same command again to continue.` : '',
    )
  } else {
    const { law, error, loss: predicted, optimal } = fit
    lines.push(
      `L(N, D) = E + A / N^a + B / D^b with E ${shown(law.irreducible, loss)}, a ${shown(law.sizeExponent, loss)}, b ${shown(law.tokenExponent, loss)}; the runs differ from it by ${(100 * error).toFixed(2)} %`,
      `The planned run (size ${formatCount(target.size)}, ${formatCount(target.tokens)} tokens, ${target.flops.toExponential(2)} FLOPs) will reach a validation loss of ${shown(predicted, loss)}.`,
      `The best use of its FLOPs: size ${shown(optimal.size, formatCount)} with ${shown(optimal.tokens, formatCount)} tokens, for a loss of ${shown(optimal.loss, loss)}.`,
    )
  }
  return [...lines, ...notes.map((note) => `note: ${note}`), `runs  ${out}`].filter((line) => line !== '').join('\n')
}

export const planScalingCommand = defineCommand({
  name: 'plan scaling',
  summary: 'Predict the loss of a pretraining run from a grid of small runs; resumable',
  example:
    'tunesmith plan scaling --model.type gpt2 --model.depth 12 --objective.type causal-lm --data shards --tokenizer tokenizer --depths 2,3,4 --tokens 4e6,8e6,16e6 --out scaling/gpt2',
  notes: [
    'The flags of `pretrain` describe the planned run; `--out` is the folder of the grid. Sizes count the operations of a token divided by six.',
    'Run the same command again to continue: finished runs are skipped, a stopped one is resumed, and depths and tokens may be added.',
    'No small run takes more than a tenth of the planned run. Intervals are 95 % intervals of a bootstrap over the residuals.',
  ],
  choices: () => recipeChoices('pretrain'),
  options: pretrainSchema.extend({
    depths: z
      .array(z.int().positive())
      .optional()
      .describe('depths of the small models (default: four shares of the planned layers)'),
    tokens: z
      .array(positive)
      .optional()
      .describe('tokens of the small runs (default: 1/32, 1/16 and 1/8 of the planned tokens)'),
  }),
  run({ depths, tokens, ...recipe }, _args, context) {
    return planScaling(
      { recipe, out: recipe.out, depths, tokens },
      {
        signal: context.signal,
        onSkip: ({ name }) => context.log(`${name}: already finished, skipped`),
        onRun({ name, number, of }) {
          context.log(`${number} of ${of}: ${name}`)
          return displayRun(context, { label: `${number}/${of}` })
        },
      },
    )
  },
  render: renderScaling,
})
