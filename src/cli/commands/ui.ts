// `tunesmith ui`: the studio, runs and models in the browser. The work is `createStudio` of src/serving.
import { z } from 'zod'
import { faultText } from '../../core/index.ts'
import { createStudio, studioPort } from '../../serving/index.ts'
import { defineCommand } from '../command.ts'
import { textField, textsField } from '../parts/fields.ts'
import { openBrowser } from '../parts/open-browser.ts'
import { readToken, rootsOf, runsArgument, untilStopped } from '../parts/server-flags.ts'

export const ui = defineCommand({
  name: 'ui',
  summary: 'Show runs, data and models in the browser, while they train',
  example: 'tunesmith ui runs',
  notes: ['Press Ctrl-C to stop. The state of runs is in their folders: closing the studio stops no run.'],
  arguments: [runsArgument],
  stopping: 'Closing the studio; runs continue',
  engine: false,
  options: z.strictObject({
    port: z.int().min(0).max(65_535).default(studioPort).describe('port to listen on; 0 takes one that is free'),
    host: z.string().default('127.0.0.1').describe('address to listen on; any but a loopback address needs a token'),
    model: textsField('models for the playground, beside those of the runs: folders, .gguf files or Hub ids'),
    maxModels: z.int().min(1).max(64).default(3).describe('maximum number of models of the playground in memory'),
    tokenFile: textField('file with the token that pages must have'),
    open: z.boolean().default(true).describe('whether to open the browser'),
  }),
  async run({ tokenFile, open, model: models, ...options }, { runs }, context) {
    const { signal, log } = context
    const token = await readToken(tokenFile)
    const roots = rootsOf(runs)
    const studio = await createStudio(
      { ...options, models, roots, token },
      { onError: (error) => context.warn(faultText(error)) },
    )
    const { url, port } = studio
    if (context.json) context.emit({ url, runs: roots })
    log(`The studio shows ${roots.join(', ')} on ${url}. Press Ctrl-C to stop.`)
    if (open && !context.json) void openBrowser(url)
    await untilStopped(signal)
    await studio.close()
    return { url, port, runs: roots }
  },
  render: () => '',
})
