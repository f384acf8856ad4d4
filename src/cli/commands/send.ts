// `tunesmith send`: runs in a tracker of experiments. The work is `sendRun` of src/tracking.
import { z } from 'zod'
import { ConfigError } from '../../core/index.ts'
import { openDestination, runsToSend, type SentResult, sendRun, trackerNames } from '../../tracking/index.ts'
import { defineCommand } from '../command.ts'
import { switchField, textField } from '../parts/fields.ts'

const options = z.strictObject({
  to: z
    .enum(trackerNames)
    .describe(
      'tracker: Weights & Biases (offline files, or a server by its `url`), an MLflow server, or a trackio server',
    ),
  project: z.string().min(1).default('tunesmith').describe('project of W&B or trackio, or experiment of MLflow'),
  entity: textField('user or team of W&B (default: the one who is logged in)'),
  out: textField("folder of W&B's offline runs (default: wandb)"),
  url: textField(
    'address of the server (default: MLFLOW_TRACKING_URI, TRACKIO_SERVER_URL, or none for offline files of W&B); that of W&B is https://api.wandb.ai, with WANDB_API_KEY',
  ),
  follow: switchField('keep sending until the run ends'),
})
export const send = defineCommand({
  name: 'send',
  summary: 'Send runs to a tracker of experiments: Weights & Biases, MLflow or trackio',
  example: 'tunesmith send runs/reviews --to mlflow --url http://127.0.0.1:5000 --follow',
  notes: [
    'A run that was sent before gets what is new. Only its files are read: training does not wait for a tracker.',
    'Commands that train send a run while it trains with --track.',
    'Folders of this machine and settings that look like secrets are left out; no texts of the data are sent.',
  ],
  arguments: [{ name: 'runs', description: 'folders of runs, or of sweeps for all their runs', variadic: true }],
  engine: false,
  options,
  async run(given, { runs }, { signal, progress }): Promise<SentResult[]> {
    const all = (await Promise.all(runs.map(runsToSend))).flat()
    if (given.follow && all.length > 1)
      throw new ConfigError(
        '`follow` takes one run. Start the command once for each run; a sweep sends its own with `--track`.',
      )
    const sent: SentResult[] = []
    for (const run of all) {
      const bar = progress({ label: 'Sending', unit: 'steps' })
      try {
        const onProgress = (steps: number) => bar.update(steps)
        sent.push(await sendRun(run, openDestination(given, signal), { follow: given.follow, signal, onProgress }))
      } finally {
        bar.stop()
      }
    }
    return sent
  },
  render: (sent) =>
    sent.map(({ run, steps, state, place }) => `${run}: ${steps} steps (${state}) in ${place}`).join('\n'),
})
